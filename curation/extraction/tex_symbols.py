"""Characters of formulas and what LaTeX calls them (`mathml`). Tables only; names are those of LaTeX, amsmath and amssymb."""

_NAMED = (
    "α=alpha β=beta γ=gamma δ=delta ε=varepsilon ϵ=epsilon ζ=zeta η=eta θ=theta ϑ=vartheta ι=iota κ=kappa λ=lambda μ=mu "
    "µ=mu ν=nu ξ=xi π=pi ϖ=varpi ρ=rho ϱ=varrho σ=sigma ς=varsigma τ=tau υ=upsilon φ=varphi ϕ=phi χ=chi ψ=psi ω=omega "
    "Γ=Gamma Δ=Delta Θ=Theta Λ=Lambda Ξ=Xi Π=Pi Σ=Sigma Υ=Upsilon Φ=Phi Ψ=Psi Ω=Omega "
    "∂=partial ∇=nabla ∞=infty ℏ=hbar ℓ=ell ℘=wp ℜ=Re ℑ=Im ℵ=aleph ∅=emptyset ı=imath ȷ=jmath √=surd °=circ "
    "∀=forall ∃=exists ∄=nexists ¬=neg ∧=land ∨=lor ⊤=top ⊥=perp ⟂=perp ⊢=vdash ⊨=models ∴=therefore ∵=because "
    "⊕=oplus ⊗=otimes ⊖=ominus ⊙=odot ∩=cap ∪=cup ⊎=uplus ⊓=sqcap ⊔=sqcup ∖=setminus ⋅=cdot ·=cdot ×=times ÷=div "
    "±=pm ∓=mp ∘=circ •=bullet ⋆=star †=dagger ‡=ddagger ∐=coprod ∑=sum ∏=prod ∫=int ∬=iint ∭=iiint ∮=oint "
    "⋃=bigcup ⋂=bigcap ⨁=bigoplus ⨂=bigotimes ⋁=bigvee ⋀=bigwedge "
    "≤=leq ≥=geq ⩽=leqslant ⩾=geqslant ≠=neq ≪=ll ≫=gg ≈=approx ≃=simeq ≅=cong ∼=sim ~=sim ≡=equiv ≢=not\\equiv ∝=propto "
    "≺=prec ≻=succ ⪯=preceq ⪰=succeq ≐=doteq ≔=coloneqq ∈=in ∉=notin ∋=ni ⊂=subset ⊆=subseteq ⊃=supset ⊇=supseteq "
    "⊄=not\\subset ⊈=nsubseteq ⊊=subsetneq ∣=mid ∤=nmid ∥=parallel ‖=Vert ∠=angle △=triangle □=square ◻=square ♯=sharp "
    "→=to ←=leftarrow ↔=leftrightarrow ⇒=Rightarrow ⇐=Leftarrow ⇔=Leftrightarrow ⟶=longrightarrow ⟵=longleftarrow "
    "⟹=Longrightarrow ⟺=Longleftrightarrow ↦=mapsto ⟼=longmapsto ↪=hookrightarrow ↑=uparrow ↓=downarrow ↗=nearrow ↘=searrow "
    "⇀=rightharpoonup ⇌=rightleftharpoons …=ldots ⋯=cdots ⋮=vdots ⋱=ddots ′=prime ″=prime\\prime "
    "⟨=langle ⟩=rangle 〈=langle 〉=rangle ⌊=lfloor ⌋=rfloor ⌈=lceil ⌉=rceil "
    "ℂ=mathbb{C} ℍ=mathbb{H} ℕ=mathbb{N} ℙ=mathbb{P} ℚ=mathbb{Q} ℝ=mathbb{R} ℤ=mathbb{Z} ℒ=mathcal{L} ℋ=mathcal{H} ℱ=mathcal{F} "
    "^=wedge \\=backslash {={ }=} %=% #=# &=& $=$ _=_"
)
SYMBOLS = {character: "\\" + name for character, _, name in (entry.partition("=") for entry in _NAMED.split())}
SYMBOLS |= {"−": "-", "∗": "*", "\xa0": " "}
IN_TEXT = {"{": r"\{", "}": r"\}", "%": r"\%", "#": r"\#", "&": r"\&", "$": r"\$", "_": r"\_", "\\": r"\textbackslash{}",
           "^": r"\^{}", "~": r"\~{}", "\xa0": " "}  # fmt: skip

RELATIONS = frozenset("=<>≤≥⩽⩾≠≪≫≈≃≅∼≡∝≺≻∈∉∋⊂⊆⊃⊇⊢⊨→←↔⇒⇐⇔⟶⟵⟹⟺↦∣∥≔")
BINARY = frozenset("+-−±∓×÷⋅·∧∨∩∪∖⊕⊗∘")
PRIMES = {"′": "'", "″": "''", "‴": "'''", "'": "'", "′′": "''", "′′′": "'''"}
_FUNCTIONS = (
    "arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max min Pr sec sin "
    "sinh sup tan tanh"
)
FUNCTIONS = frozenset(_FUNCTIONS.split())
# What takes its limits below and above: the scripts of munder and mover become _ and ^ there.
_LIMITS = (
    "sum prod coprod bigcup bigcap bigoplus bigotimes bigvee bigwedge int iint iiint oint lim liminf limsup max min sup inf det "
    "gcd Pr"
)
LIMITS = frozenset("\\" + name for name in _LIMITS.split())
ABOVE = {"^": "hat", "ˆ": "hat", "¯": "bar", "‾": "overline", "_": "overline", "―": "overline", "→": "vec", "⃗": "vec", "~": "tilde",
         "˜": "tilde", "∼": "tilde", "˙": "dot", "¨": "ddot", "ˇ": "check", "˘": "breve", "⏞": "overbrace"}  # fmt: skip
BELOW = {"_": "underline", "¯": "underline", "‾": "underline", "̲": "underline", "⏟": "underbrace"}
LABELLED_ARROWS = {r"\to": r"\xrightarrow", r"\longrightarrow": r"\xrightarrow", r"\leftarrow": r"\xleftarrow"}
MATRICES = {("(", ")"): "pmatrix", ("[", "]"): "bmatrix", ("|", "|"): "vmatrix", ("‖", "‖"): "Vmatrix", ("{", "}"): "Bmatrix",
            ("{", ""): "cases"}  # fmt: skip

VARIANTS = {"bold": "mathbf", "bold-italic": "boldsymbol", "double-struck": "mathbb", "script": "mathcal", "bold-script": "mathcal",
            "fraktur": "mathfrak", "bold-fraktur": "mathfrak", "sans-serif": "mathsf", "monospace": "mathtt",
            "normal": "mathrm"}  # fmt: skip
# Words in the Unicode names of U+1D400 to U+1D7FF, the first that fits decides; italics are what letters in formulas are anyway.
ALPHABETS = {"DOUBLE-STRUCK": "mathbb", "SCRIPT": "mathcal", "FRAKTUR": "mathfrak", "MONOSPACE": "mathtt", "SANS-SERIF": "mathsf",
             "BOLD": "mathbf"}  # fmt: skip
