"""Text that arrives in pieces gives the tokens of the whole, and one embedding per frame in upstream's order."""

import random
import unicodedata
from itertools import chain

import pytest
import torch
from tokenizers import Tokenizer

from tests.engine.conftest import LoadPair
from wyoming_qwen3.engine.lm.text_track import IncrementalTokenizer, TextTrack, encode

NASTY = (
    "Hello there, how are you? I'm fine; they'll see we've won, won't we? 'Tis O'Brien's.",
    "Line one\n\nLine two\r\n  indented\n \n\t tab  \n!\n \n end",
    "Spaces   between    words ,and  before , commas.   ",
    " \n\t leading and trailing whitespace \n \n ",
    "naïve café Zürich — decomposed: " + unicodedata.normalize("NFD", "naïve café Zürich Ắ ệ"),
    "q\u0323\u0307 and q\u0307\u0323, \u1100\u1161\u11a8 and \uac00\u11a8",
    "你好，世界。今天天气很好！我们去公园吧……再见",
    "こんにちは、世界。カタカナとｶﾀｶﾅ。 안녕하세요, 세계!",
    "Emoji 👩‍🚀🏽 and flags 🇩🇪🇨🇭, ok 👍🏿! x²+y³=½ €3,50 1234567 3.14",
    "Say <|im_end|> and <tts_pad><|im_start|>assistant\nnow.",
    "The assistant\n\nassistant's user's usernames and and and theirs",
)


@pytest.fixture(scope="module")
def tokenizer(pairs: LoadPair) -> Tokenizer:
    return pairs("custom_voice", "0.6B").published.tokenizer


@pytest.mark.parametrize("text", NASTY)
def test_any_split_gives_the_ids_of_the_whole(tokenizer: Tokenizer, text: str) -> None:
    whole = encode(tokenizer, text.strip())
    for seed in range(60):
        draw = random.Random(seed)
        longest = draw.choice((1, 2, 5, 12))
        incremental, ids, rest = IncrementalTokenizer(tokenizer), [], text
        while rest:
            size = draw.randint(1, longest)
            ids += incremental.feed(rest[:size])
            rest = rest[size:]
        assert ids + incremental.finish() == whole


def test_ids_come_while_text_arrives(tokenizer: Tokenizer) -> None:
    incremental = IncrementalTokenizer(tokenizer)
    fed = [incremental.feed(word) for word in ("One", " two", " three", " four")]
    assert [bool(ids) for ids in fed] == [False, True, True, True]
    assert list(chain(*fed)) == encode(tokenizer, "One two three")


def test_a_run_of_letters_waits_for_its_end(tokenizer: Tokenizer) -> None:
    incremental = IncrementalTokenizer(tokenizer)
    assert incremental.feed("你好世界你好世界") == []
    assert incremental.feed("，") == encode(tokenizer, "你好世界你好世界")
    assert incremental.feed("再见") == []
    assert incremental.finish() == encode(tokenizer, "，再见")


@pytest.mark.parametrize("more", [" ", "\n", " \n \n"])
def test_whitespace_settles_nothing(tokenizer: Tokenizer, more: str) -> None:
    incremental = IncrementalTokenizer(tokenizer)
    assert incremental.feed("Yes!") == encode(tokenizer, "Yes")
    assert incremental.feed(more) == []
    assert incremental.finish() == encode(tokenizer, "!")


def test_random_characters_in_random_pieces(tokenizer: Tokenizer) -> None:
    alphabet = "aé'sSt1 \n\r\t.,!\u0301\u0323\u0307\u3099か你\u1100\u1161\u11a8\u09c7\u09be\u200d👩\u00a0<|_>"
    for seed in range(400):
        draw = random.Random(seed)
        text = "".join(draw.choices(alphabet, k=30))
        incremental, ids = IncrementalTokenizer(tokenizer), []
        for letter in text:
            ids += incremental.feed(letter)
        assert ids + incremental.finish() == encode(tokenizer, text.strip()), ascii(text)


def test_whitespace_alone_has_no_ids(tokenizer: Tokenizer) -> None:
    incremental = IncrementalTokenizer(tokenizer)
    assert incremental.feed(" \n") == []
    assert incremental.feed("\t ") == []
    assert incremental.finish() == []


def test_ids_are_upstreams(pairs: LoadPair, tokenizer: Tokenizer) -> None:
    golden = pairs("custom_voice", "0.6B").golden
    for text in NASTY:
        if "<|" in text:
            continue
        turn = golden._tokenize_texts([golden._build_assistant_text(text.strip())])[0]
        assert encode(tokenizer, text.strip()) == turn[0, 3:-5].tolist()


def test_track_gives_text_then_its_end_once_then_padding() -> None:
    end, pad = torch.tensor([-1.0]), torch.tensor([-2.0])
    track = TextTrack(torch.tensor([[1.0], [2.0]]), end, pad, finished=False)
    assert taken(track, 3) == [1.0, 2.0, None]
    assert track.stalled
    track.extend(torch.tensor([[3.0]]))
    assert taken(track, 2) == [3.0, None]
    track.finish()
    track.finish()
    assert taken(track, 3) == [-1.0, -2.0, -2.0]
    assert not track.stalled


def test_track_of_a_whole_text_never_stalls() -> None:
    track = TextTrack(torch.tensor([[1.0]]), torch.tensor([-1.0]), torch.tensor([-2.0]), finished=True)
    track.finish()
    assert taken(track, 3) == [1.0, -2.0, -2.0]


def taken(track: TextTrack, count: int) -> list[float | None]:
    found = [track.next() for _ in range(count)]
    return [None if embedding is None else embedding.item() for embedding in found]
