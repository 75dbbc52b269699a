"""Whether two tokenizers mean the same by the same ids."""

from __future__ import annotations

from pipeline.text.tokenizer import Tokenizer
from schemas.errors import UserError, clipped


def require_shared(teacher: Tokenizer, student: Tokenizer) -> None:
    """Refuse a pair of models that do not share the vocabulary: every token must have the same id in both.

    Raises:
        UserError: they differ; both sizes, and the first token that does, by id.
    """
    differing = teacher.vocabulary.items() ^ student.vocabulary.items()
    if not differing:
        return
    token, _ = min(differing, key=lambda item: (item[1], item[0]))
    in_teacher, in_student = (_id(tokenizer, token) for tokenizer in (teacher, student))
    raise UserError(
        f"teacher and student must share the vocabulary: the teacher has {teacher.size} tokens and the student "
        f"{student.size}; the first to differ, {clipped(repr(token), 40)}, {in_teacher} in the teacher and "
        f"{in_student} in the student; take a student with the teacher's tokenizer"
    )


def _id(tokenizer: Tokenizer, token: str) -> str:
    return f"has id {tokenizer.vocabulary[token]}" if token in tokenizer.vocabulary else "is not"
