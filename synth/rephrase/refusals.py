"""Answers that talk to whoever asked instead of doing it: refusals, introductions, offers. English and Chinese, the teachers' languages.

A phrase that the source has too is part of the text.
"""

import re
from typing import Any

_PHRASES = re.compile(
    r"\bas an? (?:ai|artificial|large language|language) (?:language )?(?:model|assistant|intelligence)|"
    r"\bi(?:['’]m| am) (?:sorry|afraid|unable|not able)|\bi (?:cannot|can['’]t|can not|won['’]t|will not) (?:help|assist|do|fulfil|comply|"
    r"provide|rewrite|rephrase|answer)|\bi apologi[sz]e|\bunfortunately, i\b|"
    r"\b(?:here(?:['’]s| is| are)|below (?:is|are)) (?:the|a|an|my|your) (?:\w+ ){0,3}"
    r"(?:rewrit|rephras|paraphras|summar|version|list of|distill)|"
    r"\blet me know if|\bi hope (?:this|that) helps|\b(?:would you like me|do you want me) to|\bfeel free to ask|"
    r"\bthe (?:provided|given|above) (?:text|passage|document)\b|\bthe text between the lines|"
    r"抱歉|对不起|作为一个?(?:人工智能|AI|语言模型)|我无法|以下是(?:改写|重写|总结)|希望(?:这|对你)",
    re.I,
)


def meta_talk(source: str, made: str) -> dict[str, Any]:
    """The verdict: `phrases` of the answer that are about the answer."""
    told = source.casefold()
    found = sorted({match[0] for match in _PHRASES.finditer(made) if match[0].casefold() not in told})
    return {"passed": not found, "phrases": found[:5]}
