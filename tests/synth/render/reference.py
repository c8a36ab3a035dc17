"""The published chat templates, retold: GLM-4.5 and GLM-4.7 as jinja2, rule by rule, without what this repository adds (`synth.render`).

Messages are those of a chat API. Of what the published ones do, this leaves out thoughts that stand inside of a content.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from synth.render import Turn

GLM_45 = r"""
{%- set last = namespace(user=-1) -%}
{%- for m in messages -%}{%- if m.role == "user" -%}{%- set last.user = loop.index0 -%}{%- endif -%}{%- endfor -%}
{{- "[gMASK]<sop>" -}}
{%- if tools -%}
    {{- "<|system|>\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n" -}}
    {{- "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n" -}}
    {%- for tool in tools -%}{{- tool | tojson ~ "\n" -}}{%- endfor -%}
    {{- "</tools>\n\nFor each function call, output the function name and arguments within the following XML format:\n" -}}
    {{- "<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>\n<arg_value>{arg-value-1}</arg_value>\n" -}}
    {{- "<arg_key>{arg-key-2}</arg_key>\n<arg_value>{arg-value-2}</arg_value>\n...\n</tool_call>" -}}
{%- endif -%}
{%- for m in messages -%}
    {%- if m.role == "system" -%}{{- "<|system|>\n" ~ m.content -}}
    {%- elif m.role == "user" -%}
        {{- "<|user|>\n" ~ m.content -}}
        {%- if thinking is false and not m.content.endswith("/nothink") -%}{{- "/nothink" -}}{%- endif -%}
    {%- elif m.role == "assistant" -%}
        {%- set thoughts = (m.reasoning_content or "").strip() if loop.index0 > last.user else "" -%}
        {{- "<|assistant|>\n<think>" ~ thoughts ~ "</think>" -}}
        {%- if m.content.strip() -%}{{- "\n" ~ m.content.strip() -}}{%- endif -%}
        {%- for call in m.tool_calls or [] -%}
            {{- "\n<tool_call>" ~ call.function.name ~ "\n" -}}
            {%- for key, value in call.function.arguments.items() -%}
                {{- "<arg_key>" ~ key ~ "</arg_key>\n<arg_value>" -}}
                {{- (value if value is string else value | tojson) ~ "</arg_value>\n" -}}
            {%- endfor -%}
            {{- "</tool_call>" -}}
        {%- endfor -%}
    {%- elif m.role == "tool" -%}
        {%- if loop.first or loop.previtem.role != "tool" -%}{{- "<|observation|>" -}}{%- endif -%}
        {{- "\n<tool_response>\n" ~ m.content ~ "\n</tool_response>" -}}
    {%- endif -%}
{%- endfor -%}
"""

GLM_47 = r"""
{%- set last = namespace(user=-1) -%}
{%- for m in messages -%}{%- if m.role == "user" -%}{%- set last.user = loop.index0 -%}{%- endif -%}{%- endfor -%}
{{- "[gMASK]<sop>" -}}
{%- if tools -%}
    {{- "<|system|>\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n" -}}
    {{- "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n" -}}
    {%- for tool in tools -%}{{- tool | tojson ~ "\n" -}}{%- endfor -%}
    {{- "</tools>\n\nFor each function call, output the function name and arguments within the following XML format:\n" -}}
    {{- "<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value>" -}}
    {{- "<arg_key>{arg-key-2}</arg_key><arg_value>{arg-value-2}</arg_value>...</tool_call>" -}}
{%- endif -%}
{%- for m in messages -%}
    {%- if m.role == "system" -%}{{- "<|system|>" ~ m.content -}}
    {%- elif m.role == "user" -%}{{- "<|user|>" ~ m.content -}}
    {%- elif m.role == "assistant" -%}
        {%- set thoughts = (m.reasoning_content or "").strip() if loop.index0 > last.user else "" -%}
        {{- "<|assistant|>" ~ ("<think>" ~ thoughts if thoughts else "") ~ "</think>" ~ m.content.strip() -}}
        {%- for call in m.tool_calls or [] -%}
            {{- "<tool_call>" ~ call.function.name -}}
            {%- for key, value in call.function.arguments.items() -%}
                {{- "<arg_key>" ~ key ~ "</arg_key><arg_value>" -}}
                {{- (value if value is string else value | tojson) ~ "</arg_value>" -}}
            {%- endfor -%}
            {{- "</tool_call>" -}}
        {%- endfor -%}
    {%- elif m.role == "tool" -%}
        {%- if loop.first or loop.previtem.role != "tool" -%}{{- "<|observation|>" -}}{%- endif -%}
        {{- "<tool_response>" ~ m.content ~ "</tool_response>" -}}
    {%- endif -%}
{%- endfor -%}
"""


def environment() -> jinja2.Environment:
    """As transformers has it."""
    made = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    made.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    return made


_TEMPLATES = {"glm-4.5": environment().from_string(GLM_45), "glm-4.7": environment().from_string(GLM_47)}


def published(turns: Sequence[Turn], *, template: str, direct: bool) -> str:
    """What the published template makes of the turns."""
    found, tools = messages(turns)
    thinking = {"thinking": False} if direct else {}
    return _TEMPLATES[template].render(messages=found, tools=tools, **thinking)


def messages(turns: Sequence[Turn]) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]]]:
    """The turns as a chat API has them, and the tools: one message per tool response, calls with their arguments as objects."""
    found: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "observation":
            found += [{"role": "tool", "content": response} for response in turn.responses]
        elif turn.role == "assistant":
            calls = [
                {"type": "function", "function": {"name": c.name, "arguments": dict(c.arguments)}} for c in turn.calls
            ]
            message = {"role": "assistant", "content": turn.text, "reasoning_content": turn.think, "tool_calls": calls}
            found.append(message)
        elif not turn.tools:
            found.append({"role": turn.role, "content": turn.text})
    return found, [{"type": "function", "function": tool} for turn in turns for tool in turn.tools]
