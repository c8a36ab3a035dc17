from email.message import Message

import pytest

from datapipe.sample.licenses import spdx

BSD = "Redistribution and use in source and binary forms, with or without modification, are permitted ..."
THIRD = " Neither the name of the project may be used to endorse or promote products derived from this software."
MIT = "Permission is hereby granted, free of charge, to any person obtaining\na copy of this software"
BSD_CLASSIFIER = "License :: OSI Approved :: BSD License"


@pytest.mark.parametrize(
    ("fields", "texts", "expected"),
    [
        ([("License-Expression", "MIT AND Zlib"), ("License", "BSD")], [], "MIT AND Zlib"),
        ([("License", "Apache 2.0")], [], "Apache-2.0"),
        ([("License", "mit OR apache-2.0")], [], "MIT OR Apache-2.0"),
        ([("License", "Copyright me\n" + MIT)], [], "MIT"),
        ([("Classifier", "License :: OSI Approved :: MIT License")], [BSD], "MIT"),
        ([("License", "BSD"), ("Classifier", BSD_CLASSIFIER)], [BSD], "BSD-2-Clause"),
        ([("License", "BSD"), ("Classifier", BSD_CLASSIFIER)], [BSD + THIRD], "BSD-3-Clause"),
        ([("Classifier", BSD_CLASSIFIER)], [MIT], None),
        ([("Classifier", BSD_CLASSIFIER), ("Classifier", "License :: Public Domain")], [BSD], None),
        ([], [MIT + BSD], "MIT"),
        ([], ["ask the author"], None),
    ],
)
def test_only_what_is_stated_is_believed(fields: list[tuple[str, str]], texts: list[str], expected: str | None) -> None:
    metadata = Message()
    for name, value in fields:
        metadata[name] = value
    assert spdx(metadata, texts) == expected
