"""Bring your own text model: plain torch modules and a tokenizer of your own, sentences in a CSV.

python examples/own_text_model.py         # collects the sentences and trains the teacher, some seconds
bpkd run examples/own_text_model.toml

Which library is a sentence of documentation about? The first lines of the docstrings of numpy, polars and torch.
"""

import csv
import inspect
import random
import re
from collections import Counter
from pathlib import Path

import torch
from torch import nn

OUTPUT = Path(__file__).parent.parent / "runs" / "own-text-model-data"
LIBRARIES = ("numpy", "polars", "torch")


class Words:
    """A tokenizer: every word and every sign is a token. `vocabulary.txt` has one a line; the line is the id."""

    def __init__(self) -> None:
        words = (OUTPUT / "vocabulary.txt").read_text().splitlines()
        self.vocabulary = {word: index for index, word in enumerate(words)}
        self.pad_id, unknown, end = 0, 1, 2
        self.special = ([], [], [end])  # before the first text, between two, at the end
        self.unknown = unknown

    def encode(self, text: str) -> list[tuple[int, int, int]]:
        """(id, first character, character after the last) of each token."""
        found = re.finditer(r"\w+|[^\w\s]", text.lower())
        return [(self.vocabulary.get(word[0], self.unknown), word.start(), word.end()) for word in found]


class Reader(nn.Module):
    """Token embeddings, a convolution over three of them, the mean over the sentence, linear."""

    def __init__(self, vocab_size: int, classes: int, width: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 32)
        self.convolution = nn.Conv1d(32, width, 3, padding=1)
        self.out = nn.Linear(width, classes)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        mask = attention_mask[..., None]
        embedded = self.embedding(input_ids) * mask
        seen = torch.relu(self.convolution(embedded.mT).mT) * mask
        return self.out(seen.sum(dim=1) / mask.sum(dim=1))


def student(vocab_size: int, classes: int) -> Reader:
    """A narrow one that begins with the teacher's embeddings, so that a shift of them means the same to both."""
    model = Reader(vocab_size, classes, width=4)
    saved = torch.load(OUTPUT / "teacher.pt", weights_only=True)
    model.embedding.load_state_dict({"weight": saved["embedding.weight"]})
    return model


def collect() -> list[tuple[str, str]]:
    """(sentence, library), in random order, each once."""
    import numpy
    import polars

    found: dict[str, str] = {}
    for library in (numpy, polars, torch):
        for name in dir(library):
            thing = getattr(library, name)
            members = vars(thing).values() if inspect.isclass(thing) else ()
            for documented in (thing, *members):
                sentence = (inspect.getdoc(documented) or "").strip().partition("\n\n")[0].replace("\n", " ")
                if callable(documented) and 20 <= len(sentence) <= 200 and re.match(r"[A-Z][a-z]+ ", sentence):
                    found.setdefault(sentence, library.__name__)
    sentences = sorted(found.items())
    random.Random(0).shuffle(sentences)
    return sentences


def main() -> None:
    sentences = collect()
    held_out, known = sentences[:400], sentences[400:]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, rows in (("test", held_out), ("train", known[:150])):  # the student sees 150 sentences
        with open(OUTPUT / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("text", "library"), *rows])
    counts = Counter(word for text, _ in known for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    words = sorted(word for word, count in counts.items() if count > 1)
    (OUTPUT / "vocabulary.txt").write_text("\n".join(["<pad>", "<unknown>", "<end>", *words]) + "\n")

    torch.manual_seed(0)
    tokenizer = Words()
    encoded = [torch.tensor([token for token, _, _ in tokenizer.encode(text)] + [2]) for text, _ in known]
    labels = torch.tensor([LIBRARIES.index(library) for _, library in known])
    teacher = Reader(len(tokenizer.vocabulary), len(LIBRARIES))
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=3e-3)
    for _ in range(8):
        for batch in torch.randperm(len(known)).split(32):
            ids = nn.utils.rnn.pad_sequence([encoded[index] for index in batch], batch_first=True)
            loss = nn.functional.cross_entropy(teacher(ids, ids.ne(0).long()), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.save(teacher.state_dict(), OUTPUT / "teacher.pt")


if __name__ == "__main__":
    main()
