from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models import load_tokenizer
from pipeline.text.recent import Recent
from pipeline.text.tokenizer import Tokenizer
from pipeline.text.vocabulary import require_shared
from schemas.errors import UserError
from schemas.sections import ModelConfig

FAMILIES = ["bert", "roberta", "gpt2", "deberta", "llama"]
SAMPLES = [
    ("The film, is good!",),
    ("a dull story", "not very great"),
    ("xyz bad",),
    (" ",),
    ("the " * 40, "a bad plot"),
]

Models = Callable[..., Path]


def load(place: Path | str, root: Path = Path("/nowhere"), max_length: int = 32, **section: Any) -> Tokenizer:
    factory = f"hf:{place}" if isinstance(place, Path) else place
    section_ = ModelConfig(factory=factory, **section)
    return load_tokenizer(section_, lambda path: str(root / path), role="student", max_length=max_length)


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, text_models: Models) -> Path:
    return text_models(request.param)


@pytest.mark.parametrize("max_length", [6, 12, 32])
def test_tokens_are_those_of_transformers(family: Path, max_length: int) -> None:
    from transformers import AutoTokenizer

    own, theirs = load(family, max_length=max_length), AutoTokenizer.from_pretrained(family)
    for sample, tokens in zip(SAMPLES, own.encode(SAMPLES), strict=True):
        expected = theirs(*sample, max_length=max_length, truncation="longest_first")
        assert tokens.ids.tolist() == expected["input_ids"]
        assert tokens.real.tolist() == [number is not None for number in expected.sequence_ids()]
        of_texts = [number for number in expected.sequence_ids() if number is not None]
        assert tokens.segments[tokens.real].tolist() == of_texts


def test_special_tokens_tell_which_text_they_follow(text_models: Models) -> None:
    (pair,) = load(text_models("bert")).encode([("a film", "no plot")])
    assert pair.segments.tolist() == [-1, 0, 0, -1, 1, 1, -2]
    assert load(text_models("bert")).batch([pair]).segments.tolist() == [[0, 0, 0, 0, 1, 1, 1]]


def test_a_special_token_in_a_text_is_special(text_models: Models) -> None:
    (tokens,) = load(text_models("bert")).encode([("a </s> film qq",)])
    assert tokens.real.tolist() == [False, True, False, True, True, True, False]


def test_batches_are_padded_to_the_longest(family: Path) -> None:
    tokenizer = load(family)
    tokens = tokenizer.encode(SAMPLES)
    batch = tokenizer.batch(tokens)
    assert batch.ids.shape == (len(SAMPLES), max(map(len, tokens)))
    assert (batch.ids.dtype, batch.mask.dtype, batch.segments.dtype, batch.real.dtype) == (
        *[torch.int64] * 3,
        torch.bool,
    )
    for row, one in enumerate(tokens):
        count = len(one)
        assert batch.ids[row].tolist() == [*one.ids.tolist(), *[1] * (batch.ids.shape[1] - count)]
        assert batch.mask[row].sum() == count and batch.mask[row, :count].all()
        assert batch.real[row, :count].tolist() == one.real.tolist() and not batch.real[row, count:].any()
        assert not batch.segments[row, count:].any()
    assert batch.delta is None


def test_offsets_cut_the_tokens_out_of_the_texts(family: Path) -> None:
    tokenizer = load(family)
    sample = ("the film is good", "a bad plot")
    (spans,) = tokenizer.offsets([sample])
    assert [sample[text][start:end] for text, start, end in spans] == " ".join(sample).split()
    assert [text for text, _, _ in spans] == [0, 0, 0, 0, 1, 1, 1]


@given(texts=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=2))
def test_every_real_token_has_a_place(text_models: Models, texts: list[str]) -> None:
    for family in ("bert", "roberta", "deberta"):
        tokenizer = load(text_models(family), max_length=12)
        (spans,), (tokens,) = tokenizer.offsets([tuple(texts)]), tokenizer.encode([tuple(texts)])
        assert len(spans) == tokens.real.sum()
        assert len(tokens) <= 12
        for (text, start, end), segment in zip(spans, tokens.segments[tokens.real], strict=True):
            assert 0 <= start <= end <= len(texts[text])
            assert text == segment


def test_words_can_stand_in_a_text(family: Path) -> None:
    """Each, written after another word, becomes its token; parts of words, letters and special tokens are none."""
    tokenizer = load(family)
    ids, words = tokenizer.words()
    assert ids.tolist() == sorted(ids.tolist())
    assert {"film", "good", "dull"} <= set(words)
    assert not {"", "<s>", "unk"} & set(words)
    assert ("x" in words) == family.name.startswith("bert")  # a letter alone is a part only where the start is marked
    for index, word in zip(ids, words, strict=True):
        (tokens,) = tokenizer.encode([(f"the {word} is",)])
        assert tokens.ids[tokens.real][1] == index
        assert tokens.real.sum() == 3


def test_remembers_what_it_encoded(text_models: Models) -> None:
    tokenizer = load(text_models())
    (first,), (again,) = tokenizer.encode([("a film",)]), tokenizer.encode([("a film",)])
    assert again is first


def test_threads_share_a_tokenizer(text_models: Models) -> None:
    tokenizer, alone = load(text_models()), load(text_models())
    expected = [tokens.ids.tolist() for tokens in alone.encode(SAMPLES)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: [t.ids.tolist() for t in tokenizer.encode(SAMPLES)], range(40)))
    assert found == [expected] * 40


def test_forgets_what_was_not_asked_for_longest() -> None:
    recent: Recent[str, int] = Recent(capacity=1600)
    for number, key in enumerate("abc"):
        recent.put(key, number, 10)
    assert recent.get("a") == 0
    recent.put("d", 3, 10)
    assert [recent.get(key) for key in "abcd"] == [0, None, 2, 3]
    recent.put("huge", 4, 10_000)
    assert [recent.get(key) for key in ("a", "huge")] == [None, None]


def test_a_sample_without_any_token_gets_padding(text_models: Models) -> None:
    from tokenizers import Tokenizer as Fast
    from transformers import AutoTokenizer

    from pipeline.text.fast import FastBackend

    fast = Fast.from_str(AutoTokenizer.from_pretrained(text_models("gpt2")).backend_tokenizer.to_str())
    fast.post_processor = None
    bare = Tokenizer(FastBackend(fast, 8, pad_id=1, special_ids=[1], segmented=False), 8)
    (tokens,) = bare.encode([("",)])
    assert (tokens.ids.tolist(), tokens.real.tolist()) == ([1], [False])
    assert bare.batch([tokens]).mask.tolist() == [[1]]


def test_is_written_as_a_file_of_the_tokenizers_library(family: Path) -> None:
    from tokenizers import Tokenizer as Fast

    tokenizer = load(family, max_length=6)
    data = tokenizer.to_json()
    assert data is not None
    encoded = Fast.from_str(data.decode()).encode("the film is good and not very bad")
    assert encoded.ids == load(family).encode([("the film is good and not very bad",)])[0].ids.tolist()


OWN = """
class Words:
    vocabulary = {w: i for i, w in enumerate("<pad> <s> / </s> <unk> the film is good bad fi".split())}
    pad_id, special = 0, ([1], [2], [3])

    def encode(self, text):
        found, end = [], 0
        for word in text.split():
            start = text.index(word, end)
            end = start + len(word)
            found.append((self.vocabulary.get(word, 4), start, end))
        return found


class Lacking:
    vocabulary, pad_id = {"a": 0}, 0


class Special(Words):
    special = [1, 2]


class Padding(Words):
    pad_id = 99


class Ids(Words):
    def encode(self, text):
        return [5, 6]


class Places(Words):
    def encode(self, text):
        return [(5, 0, len(text) + 1)]


def fails():
    raise ValueError("no\\nfile")
"""


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Tokenizer]:
    (tmp_path / "own.py").write_text(OWN)
    return lambda name="Words", **options: load("own.py:Net", tmp_path, tokenizer=f"own.py:{name}", **options)


@pytest.mark.parametrize(
    ("sample", "max_length", "ids", "segments"),
    [
        (("the film",), 32, [1, 5, 6, 3], [-1, 0, 0, -1]),
        (("the film", "bad x"), 32, [1, 5, 6, 2, 9, 4, 3], [-1, 0, 0, -1, 1, 1, -2]),
        (("the film is good",), 4, [1, 5, 6, 3], [-1, 0, 0, -1]),
        (("the film is good", "bad"), 6, [1, 5, 6, 2, 9, 3], [-1, 0, 0, -1, 1, -2]),
        (("bad", "the film is good"), 6, [1, 9, 2, 5, 6, 3], [-1, 0, -1, 1, 1, -2]),
        (("the film is", "the film is"), 7, [1, 5, 6, 2, 5, 6, 3], [-1, 0, 0, -1, 1, 1, -2]),
        (("", ""), 32, [1, 2, 3], [-1, -1, -2]),
    ],
)
def test_adds_special_tokens_and_cuts_for_own_ones(
    own: Callable[..., Tokenizer], sample: tuple[str, ...], max_length: int, ids: list[int], segments: list[int]
) -> None:
    (tokens,) = own(max_length=max_length).encode([sample])
    assert (tokens.ids.tolist(), tokens.segments.tolist()) == (ids, segments)


def test_own_ones_have_words_and_offsets(own: Callable[..., Tokenizer]) -> None:
    tokenizer = own()
    assert tokenizer.words()[1] == ["the", "film", "is", "good", "bad", "fi"]
    assert tokenizer.offsets([("  the film", "bad")]) == [[(0, 2, 5), (0, 6, 10), (1, 0, 3)]]
    assert tokenizer.to_json() is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Lacking", "its Lacking has no 'special'; a tokenizer has vocabulary, pad_id, special and encode"),
        ("Special", r"special = \[1, 2\]; takes three lists of ids"),
        ("Padding", "special or pad_id has id 99, which its vocabulary does not have"),
        ("Ids", r"encode\('the film'\) returns \[5, 6\]; must return ids"),
        ("Places", r"encode\('the film'\) returns \[\(5, 0, 9\)\]; must return ids"),
        ("fails", "called with nothing it raised ValueError: no$"),
        ("absent", "own.py has no 'absent'"),
    ],
)
def test_names_what_is_wrong_with_own_ones(own: Callable[..., Tokenizer], name: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^student.tokenizer = 'own.py:{name}': {message}") as caught:
        own(name).encode([("the film",)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "section", "message"),
    [
        ("torch.nn:Identity", {}, "student.factory = .*: a text model needs student.tokenizer: hf:NAME, or path/to"),
        ("torch.nn:Identity", {"tokenizer": "bert"}, "student.tokenizer = 'bert': takes hf:NAME, package.module:call"),
    ],
)
def test_asks_for_a_tokenizer(family: str, section: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        load(family, **section)


def test_names_a_place_without_a_tokenizer(text_models: Models) -> None:
    with pytest.raises(UserError, match=r'has no tokenizer; set student.tokenizer to "hf:" and a place that has one'):
        load(text_models(tokenizer=False))
    assert load(text_models(tokenizer=False), tokenizer=f"hf:{text_models()}").size == 76


@pytest.mark.parametrize("end", [True, False])
def test_asks_for_a_padding_token(text_models: Models, tmp_path: Path, end: bool) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(text_models("gpt2"))
    tokenizer.pad_token = None
    tokenizer.eos_token = "</s>" if end else None
    tokenizer.save_pretrained(tmp_path)
    remedy = "tokenizer.eos_token" if end else "a token of its vocabulary"
    with pytest.raises(UserError, match=f"has no padding token; set tokenizer.pad_token = {remedy}, save it by .*"):
        load(text_models("gpt2"), tokenizer=f"hf:{tmp_path}")


def test_asks_for_room(text_models: Models, own: Callable[..., Tokenizer]) -> None:
    with pytest.raises(UserError, match=r"data.max_length = 2 leaves no room beside its 2 special tokens$"):
        load(text_models(), max_length=2)
    with pytest.raises(UserError, match=r"data.max_length = 2 leaves no room beside its 2 special tokens$"):
        own(max_length=2)


def test_vocabularies_are_shared_or_refused(text_models: Models) -> None:
    bert = load(text_models())
    require_shared(bert, load(text_models("electra")))
    with pytest.raises(UserError) as caught:
        require_shared(bert, load(text_models(words="the film is bad")))
    assert str(caught.value) == (
        "teacher and student must share the vocabulary: the teacher has 76 tokens and the student 60; the first to "
        "differ, 'a', has id 7 in the teacher and has id 8 in the student; take a student with the teacher's tokenizer"
    )


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (1, "first to differ, 'joy', has id 24 in the teacher and is not in the student;"),
        (-1, "first to differ, 'joy', is not in the teacher and has id 24 in the student;"),
    ],
)
def test_a_token_that_only_one_has_is_named(own: Callable[..., Tokenizer], order: int, message: str) -> None:
    larger, smaller = own(), own()
    larger.vocabulary["joy"] = 24
    with pytest.raises(UserError, match=message):
        require_shared(*[larger, smaller][::order])
