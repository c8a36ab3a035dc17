"""What every store speaks: a file as a listing shows it, and a refusal in words."""

from dataclasses import dataclass, field


class StoreError(Exception):
    """A file, bucket or credential is not there or not accepted; says which, what the store answered, and what to do."""

    def __init__(self, path: str, answer: str, remedy: str) -> None:
        super().__init__(path, answer, remedy)
        self.path, self.answer, self.remedy = path, answer, remedy

    def __str__(self) -> str:
        return f"{self.path}: {self.answer}\n    {self.remedy}"


@dataclass(frozen=True, order=True)
class FileInfo:
    """A file as a listing shows it. `etag` is what S3 said about its content, empty for a local file."""

    path: str
    size_bytes: int
    etag: str = field(default="", compare=False, repr=False)
