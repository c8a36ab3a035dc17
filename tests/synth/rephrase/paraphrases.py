"""Paraphrases of encyclopaedic paragraphs (by title, in the real data), written by hand: every fact kept, nearly every sentence turned."""

FAITHFUL = {
    "A Slave of Love": """
Nikita Mikhalkov's Soviet film A Slave of Love, a romantic comedy-drama, came out in 1976. Friedrich Gorenstein
and Andrey Konchalovskiy wrote it, and Elena Solovey, Rodion Nakhapetov and Aleksandr Kalyagin play the leads.
Its subject is Olga Voznesenskaya (Solovey), an actress of the silent screen. Revolutionaries love her pictures
so much that they will risk being caught just to watch them. Vera Kholodnaya served as the model for Olga.
""",
    "There Are But Four Small Faces": """
On 1 December 1967 Columbia Records issued the studio album There Are But Four Small Faces by the British rock
band Small Faces. In the United States it was the first album that the group had brought out; abroad it stands
in for the Immediate album "Small Faces", which had appeared earlier that year. At about the same time the
single "Tin Soldier" reached the shops.
""",
    "The Toast of New Orleans": """
MGM released the musical The Toast of New Orleans in 1950. Norman Taurog was its director and Eugene Loring its
choreographer. The cast includes Mario Lanza, Kathryn Grayson, David Niven, J. Carrol Naish, James Mitchell and
Rita Moreno. Lanza had just had a success with his first picture, "That Midnight Kiss", and this one was made to
let him sing in the cinema once more.
""",
    "John Middleton Murry": """
The English writer John Middleton Murry lived from 6 August 1889 to 12 March 1957. In the course of his life he
turned out over 60 books, and essays and reviews by the thousand, about literature, society, politics and
religion. He was an eminent critic, but people think of him above all because of Katherine Mansfield, who took
him as her second husband in 1918, and because of his friends D. H. Lawrence and T. S. Eliot and his friendship
and short affair with Frieda Lawrence. When Mansfield had died, he became the editor of her writings.
""",
    "Just Friends (1993 film)": """
Just Friends, a film from Belgium and the Netherlands of 1993 (Belgian-Dutch), has Marc-Henri Wajnberg as its
director and producer. Pierre Sterckx and Alexandre Wajnberg are its authors; Josse De Pauw, Ann-Gisel Glass,
Charles Berling and Sylvie Milhaud act in it. The story plays among jazz musicians of the 1950s in Antwerp. It
won the André Cavens Award and three Joseph Plateau Awards, two of them for Best Film and for Wajnberg as Best
Director. At the 66th Academy Awards it was what Belgium entered for Best Foreign Language Film. Michel Herr
wrote the music and oversaw it, with Archie Shepp on the saxophone.
""",
    "Oskar Roehler": """
Oskar Roehler, a director of films, author of screenplays and journalist from Germany, came into the world on 21
January 1959 in Starnberg. Both parents, Gisela Elsner and Klaus Roehler, were writers. From the mid-1980s on he
wrote screenplays for Niklaus Schilling, Christoph Schlingensief, Mark Schlichter and others, and since the
early 1990s he has directed as well. No Place to Go brought him the Deutscher Filmpreis. A film of his from 2010
was up for the Golden Bear of the 60th Berlin International Film Festival.
""",
    "Myers Field": """
In Norfolk, Virginia, United States, just off Church Street, there once was a ballpark, Myers Field. From 1940
to 1955 the Norfolk Tars played there, a minor league team that belonged to the New York Yankees. Before it got
its name from a local dentist, Eddie Myers, it was High Rock Park. Among the Tars who later made a name in the
major leagues, and whose home the field thus was, are Yogi Berra, Lew Burdette, Whitey Ford, Bob Grim, Mickey
Owen, Bob Porterfield, Vic Raschi, Bobby Richardson, Spec Shea, Moose Skowron, Snuffy Stirnweiss and Gus
Triandos.
""",
    "Gerald Hiken": """
The American actor Gerald Hiken was born on May 27, 1927 in Milwaukee and learned his craft at HB Studio in New
York City. For "Strider" he got a nomination in 1980 for the Tony Award for Best Actor in a Play. Broadway saw
him in many more plays, and the cinema in small parts, for example in "The Candidate" (1972), "Reds" (1981) and
"Fat Man and Little Boy" (1989). Two episodes of "Cheers" in a row had him in 1988: in season 7, in the episodes
3 and 4, "Executive Sweet" and "One Happy Chappy in a Snappy Serape", he is Dennis, whose son is the executive
Martin Teale.
""",
    "Jeane Manson": """
Jeane Manson, model, singer and actor, is an American who was born in 1950 in Cleveland, Ohio. In August 1974
"Playboy" had her picture as the magazine's Playmate of the Month. After that she went to Europe, where she
played in several films, one of them "Bons Baisers de Hong Kong" (1975). "Avant de nous dire adieu" was the song
that made her known a year later, and with "J'ai déjà vu ça dans tes yeux" she sang for Luxembourg in the
Eurovision Song Contest of 1979.
""",
    "Rebecca (2016 film)": """
Shirley Frimpong-Manso directed Rebecca, a film made in Ghana and Nigeria (Ghana-Nigeria) in 2016, in which
Yvonne Okoro and Joseph Benjamin play. Manso says that London saw it before Ghana did because the state of the
country's economy had made fewer people go to the cinema. Okoro, an actress born in Nigeria (Nigerian), here
plays in a cast of two for the second time.
""",
}
