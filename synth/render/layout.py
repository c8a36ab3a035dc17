"""The versions of the chat template: what stands between the words of a conversation.

GLM-4.5 and 4.6 put a line break after roles and between tags; GLM-4.7 puts none, closes thoughts that were not had with `</think>` alone,
and needs no `/nothink` in the user's words, because it begins every answer itself with `<think>` or `</think>`.
Source: the `chat_template` published with the models zai-org/GLM-4.5, GLM-4.5-Air and GLM-4.7.
"""

from typing import NamedTuple

PREFIX = "[gMASK]<sop>"
_EXPLANATION = (
    *("<tool_call>{function-name}", "<arg_key>{arg-key-1}</arg_key>", "<arg_value>{arg-value-1}</arg_value>"),
    *("<arg_key>{arg-key-2}</arg_key>", "<arg_value>{arg-value-2}</arg_value>", "...", "</tool_call>"),
)


class Layout(NamedTuple):
    """One version."""

    line: str  # behind roles and between tags
    no_thoughts: str  # what stands for thoughts that are not shown
    opens_thoughts: bool  # whoever asks writes the `<think>` of an answer, and all of `no_thoughts`
    no_thinking: str  # behind the user's words where a direct answer is asked for

    @property
    def tools_head(self) -> str:
        return (
            "\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
            "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
        )

    @property
    def tools_tail(self) -> str:
        return (
            "\n</tools>\n\nFor each function call, output the function name and arguments within the following XML format:\n"
            + self.line.join(_EXPLANATION)
        )


TEMPLATES = {
    "glm-4.5": Layout("\n", "<think></think>", False, "/nothink"),
    "glm-4.7": Layout("", "</think>", True, ""),
}
DEFAULT = "glm-4.5"
