"""Conversations as text in the chat template of GLM-4.5 or GLM-4.7, and back: `parse(render(turns).text)` gives the turns for any strings.

The text is that of the published template, character by character: its prefix, the explanation of tools, roles and tags as special tokens,
one `<arg_key>`/`<arg_value>` pair per argument with strings raw and other values as JSON, `/nothink` behind the user's words in a direct
conversation. It is given back by `parse` where the template itself is not lossy; where it is, this one escapes or refuses:

    special tokens in a payload             escaped with a backslash (`markup`); the template lets them turn into tokens
    thoughts before the last user turn      refused; the template erases them. `split` makes a conversation per user turn
    whitespace around thoughts, answers     refused; the template strips it, and so does `arranged`
    "5" and 5 as an argument                told apart by the tool's schema (`arguments`); refused where it does not say
    tools elsewhere than first, responses in two observations, or none       refused; the template has no such form (`arranged`)
    a null content                          there is none: a `Turn` has an empty text, where the template writes `None`

Whitespace around the strings of arguments and responses stays, here as in the template; vLLM's parser of calls strips it.

What is learned: everything an assistant says and the role token that ends its turn, which the model must produce to hand over; less
the turns that are only shown (`Turn.learn`), and what whoever asks writes himself: in direct mode the empty thoughts, in GLM-4.7 always
the opening tag. After the last turn the end-of-text token follows; the tokeniser counts it as learned because the last span reaches the
end of the text.

Cost: 0.09 ms to render and 0.1 ms to parse an exchange with two calls (3,700 characters).
"""

from synth.render.layout import DEFAULT, PREFIX, TEMPLATES
from synth.render.markup import escape, unescape
from synth.render.read import is_direct, parse
from synth.render.stored import in_template
from synth.render.turns import Call, RenderError, Turn, arranged, erased, has_hidden_thoughts, only_shown, split
from synth.render.write import Rendered, Span, render

__all__ = [
    "DEFAULT",
    "PREFIX",
    "TEMPLATES",
    "Call",
    "RenderError",
    "Rendered",
    "Span",
    "Turn",
    "arranged",
    "erased",
    "escape",
    "has_hidden_thoughts",
    "in_template",
    "is_direct",
    "only_shown",
    "parse",
    "render",
    "split",
    "unescape",
]
