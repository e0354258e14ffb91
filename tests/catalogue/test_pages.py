"""The catalogue tells everything, leads everywhere it says, and shows words as words."""

import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from pydantic import JsonValue

from choreo.catalogue.html import html
from choreo.catalogue.landscape import Services
from choreo.catalogue.markdown import markdown
from choreo.catalogue.page import Badge, Code, Heading, Link, Listing, Note, Page, Paragraph, Table
from choreo.catalogue.pages import pages
from choreo.contracts.lock import Consumption, Emission, Reading, ServiceLock, read_lock
from tests.cli.program import Commands

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "order_fulfilment" / "choreo.lock"
SERVICES = read_lock(EXAMPLE).services
EVIL = "<script>alert('1')</script> & \"q\" `a|b` [x](javascript:y) ``` *z*"


def schema(*fields: JsonValue, doc: str = "It was placed.") -> JsonValue:
    return {"type": "record", "name": "Placed", "doc": doc, "fields": list(fields)}


ID: JsonValue = {"name": "id", "type": "string", "doc": "Which one."}
OLD: JsonValue = {"name": "old", "type": "long", "default": 0, "deprecated": "use new"}
CHANGED: Services = {
    "orders": ServiceLock(
        owner="shop",
        emits=[
            Emission(
                event="Placed",
                version=2,
                topic="orders/{id}",
                key="id",
                deprecated="use Taken",
                avro=schema(ID, OLD),
                earlier={1: schema(ID)},
            )
        ],
    ),
    "billing": ServiceLock(
        consumes=[
            Consumption(
                event="Placed",
                version=2,
                topic="orders/{id}",
                upcasts=[1],
                avro=schema(ID),
                handlers={
                    "charge": Reading(where="b.py:1", observed=True, reads={"id": ["b.py:2"]}),
                    "count": Reading(where="b.py:9"),
                },
            )
        ]
    ),
}


class Reader(HTMLParser):
    """What of a page is a tag, a link and a word."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href" and value is not None]

    def handle_data(self, data: str) -> None:
        self.words += data


def page(name: str, services: Services = CHANGED) -> tuple[Page, list[Page]]:
    every = list(pages(services, "All"))
    return next(one for one in every if one.name == name), every


@pytest.fixture(name="built", scope="module")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    commands = Commands(folder)
    done = commands.run("catalogue", "build", "--lock", str(EXAMPLE), "--title", "Orders", "--json")
    assert done.code == 0, done.err
    assert done.objects == [{"path": "catalogue/index.html", "pages": 16}]
    return folder / "catalogue"


@pytest.mark.timeout(60)
def test_every_link_of_the_built_catalogue_leads_to_a_page(built: Path) -> None:
    for file in built.rglob("*.html"):
        for link in Reader(file.read_text()).links:
            assert (file.parent / link).is_file(), f"{file}: {link}"
    for file in built.rglob("*.md"):
        for link in re.findall(r"(?<!\\)\]\(([^)]*)\)", file.read_text()):
            assert (file.parent / link).is_file(), f"{file}: {link}"


@pytest.mark.timeout(60)
def test_the_first_page_names_every_event_and_every_service(built: Path) -> None:
    for ending in ("html", "md"):
        text = (built / f"index.{ending}").read_text()
        for name in ("OrderPlaced", "PaymentRefunded", "OrderReceived", *SERVICES):
            assert name in text


def test_an_event_tells_who_writes_it_and_who_reads_which_field_where() -> None:
    found, every = page("events/orders.Placed")

    words = re.sub(r"\s+", " ", Reader(html(found, every)).words)
    text = markdown(found)
    assert "Deprecated: use Taken" in words
    assert "| [orders](../services/orders.md) | shop | 2 | outside of handlers |" in text
    assert (
        "| [billing](../services/billing.md) | 1, 2 | `charge` | `id` | dead letter | `b.py:1` |"
        in text
    )
    assert "| `count` | no test has shown |" in text
    assert "| `id` | string | – | [billing](../services/billing.md) | Which one. |" in text
    assert "| `old` | long | `0` | – | **deprecated** use new |" in text


def test_a_version_tells_what_changed_since_the_one_before() -> None:
    text = markdown(page("events/orders.Placed")[0])

    assert "Since version 1: Each of the two can read the other." in text
    assert "| `/fields/old` | – | `{" in text
    assert "## Version 1\n\nNot written any more; events of it may still be read." in text
    assert '"name": "Placed"' in text


def test_what_is_deprecated_is_marked_wherever_it_is_named() -> None:
    index, every = page("index")

    assert "[Placed](events/orders.Placed.md) **deprecated**" in markdown(index)
    assert '<span class="badge">deprecated</span>' in html(index, every)


HOSTILE = Page(
    "events/x",
    "event",
    EVIL,
    [
        Heading(EVIL),
        Paragraph((EVIL, Link(EVIL, "index"), Code(EVIL), Badge(EVIL))),
        Note(EVIL),
        Table((EVIL, "b"), [((EVIL,), (Code(EVIL),))]),
        Listing("schema", EVIL),
    ],
)


def test_words_stay_words_in_html() -> None:
    home = Page("index", "", EVIL, ())

    found = Reader(html(HOSTILE, [home, HOSTILE]))

    assert "script" not in found.tags
    assert set(found.links) == {"../index.html", "../style.css", "x.html"}
    assert found.words.count(EVIL) == 15


def test_words_stay_words_in_markdown() -> None:
    """As another library reads it, tables and raw HTML included."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")

    found = Reader(reader.render(markdown(HOSTILE)))

    words = re.sub(r"\s+", " ", found.words)
    assert "script" not in found.tags
    assert set(found.links) == {"../index.md"}
    assert found.tags.count("td") == 2
    assert words.count(EVIL) == 11


def test_names_of_pages_lead_nowhere_but_into_the_folder() -> None:
    evil = ServiceLock(emits=[Emission(event="../../x", version=1, topic="..")])

    names = [one.name for one in pages({"../../etc/passwd": evil}, "All")]

    assert all(not posixpath.normpath(name).startswith("..") for name in names)
    assert [name.count("/") for name in names] == [0, 1, 1]


@pytest.mark.timeout(60)
def test_where_nothing_is_named_or_locked_nothing_is_built(tmp_path: Path) -> None:
    done = Commands(tmp_path).run("catalogue", "build")

    assert done.code == 6
    assert not (tmp_path / "catalogue").exists()
