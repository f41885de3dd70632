"""EXIF, IPTC and XMP: out of files that another program writes, and out of hostile ones."""

import asyncio
import io
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import IptcImagePlugin

from describer.images import embedded
from describer.images.embedded import Packets, read, texts_in
from describer.images.loading import END_BYTES
from describer.images.structure import Ends
from describer.metadata import KINDS
from tests.unit.test_ends import Counting
from tests.unit.test_ends import load as load_by_address
from tests.unit.test_image import Noted, load, upload
from tests.unit.test_structure import buffer, saved

EVERY = tuple(KINDS)
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:other="http://other.example/" other:City="Nowhere" photoshop:City="Gizeh">
   <photoshop:Headline>A &lt;lion&gt; of &#x73;tone</photoshop:Headline>
   <d:title xmlns:d="http://purl.org/dc/elements/1.1/"><rdf:Alt>
     <rdf:li xml:lang="de">Die Sphinx</rdf:li>
     <rdf:li xml:lang="x-default">The Sphinx</rdf:li>
   </rdf:Alt></d:title>
   <d:description xmlns:d="http://purl.org/dc/elements/1.1/"><rdf:Alt>
     <rdf:li xml:lang="de">Aus Kalkstein</rdf:li>
   </rdf:Alt></d:description>
  </rdf:Description>
  <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <dc:subject><rdf:Bag><rdf:li>desert</rdf:li><rdf:li>stone</rdf:li></rdf:Bag></dc:subject>
   <Iptc4xmpExt:PersonInImage><rdf:Bag><rdf:li>Paris Hilton</rdf:li></rdf:Bag>
   </Iptc4xmpExt:PersonInImage>
   <Iptc4xmpExt:ArtworkOrObject><rdf:Bag><rdf:li rdf:parseType="Resource">
     <dc:creator>Of the artwork, not of the picture</dc:creator>
   </rdf:li></rdf:Bag></Iptc4xmpExt:ArtworkOrObject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()
OF_XMP = {
    "xmp:photoshop:City": "Gizeh",
    "xmp:photoshop:Headline": "A <lion> of stone",
    "xmp:dc:title": "The Sphinx",
    "xmp:dc:description": "Aus Kalkstein",
    "xmp:dc:subject": "desert; stone",
    "xmp:Iptc4xmpExt:PersonInImage": "Paris Hilton",
}
OF_EXIF = {
    "exif:ImageDescription": "Große Sphinx",
    "exif:Artist": "Ada",
    "exif:DateTimeOriginal": "2026:11:01 09:30:00",
    "exif:UserComment": "東京",
    "exif:XPTitle": "Café",
}
OF_IPTC = {
    "iptc:City": "Gizeh",
    "iptc:Country-PrimaryLocationName": "Égypte",
    "iptc:Keywords": "desert; stone",
}


def found_in(content_type: str, content: bytes) -> dict[str, str]:
    return asyncio.run(read(content_type, buffer(content), EVERY))


def exif(order: str = ">") -> Pillow.Exif:
    made = Pillow.Exif()
    made.endian = order
    made[0x010E] = OF_EXIF["exif:ImageDescription"].encode()
    made[0x013B] = "Ada"
    made[0x9C9B] = "Café\0".encode("utf-16-le")
    inner = made.get_ifd(0x8769)
    inner[0x9003] = OF_EXIF["exif:DateTimeOriginal"]
    code = "utf-16-be" if order == ">" else "utf-16-le"
    inner[0x9286] = b"UNICODE\0" + OF_EXIF["exif:UserComment"].encode(code)
    # Coordinates: never found, since no name leads to them.
    made.get_ifd(0x8825)[1] = "N"
    return made


def dataset(number: int, value: bytes, record: int = 2) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def iptc() -> bytes:
    return (
        dataset(90, b"\x1b%G", record=1)
        + dataset(0, b"\0\4")
        + dataset(25, b"desert")
        + dataset(90, b"Gizeh")
        + dataset(25, b"stone")
        + dataset(101, "Égypte".encode())
        # Not in what is declared: left out rather than guessed.
        + dataset(95, "Gîza".encode("latin-1"))
    )


def with_segments(jpeg: bytes, *segments: tuple[int, bytes]) -> bytes:
    made = b"".join(
        struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
        for marker, content in segments
    )
    return jpeg[:2] + made + jpeg[2:]


def irb(packet: bytes) -> bytes:
    other = b"8BIM" + struct.pack(">HB", 0x03F3, 3) + b"odd" + struct.pack(">I", 3) + b"abc\0"
    own = b"8BIM" + struct.pack(">HxxI", 0x0404, len(packet)) + packet
    return b"Photoshop 3.0\0" + other + own


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_is_found(kind: str, order: str) -> None:
    """As Pillow writes it, in both orders of bytes; of a TIFF it writes the first directory."""
    found = found_in(f"image/{kind.lower()}", saved("RGB", kind, exif=exif(order)))
    second = {"exif:DateTimeOriginal", "exif:UserComment"} if kind == "TIFF" else set()
    assert found == {name: text for name, text in OF_EXIF.items() if name not in second}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_is_found(kind: str) -> None:
    """Of the picture itself, in attributes and elements, under any prefix; none of its parts."""
    options: dict[str, Any] = {"xmp": XMP}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        options = {"pnginfo": PngInfo()}
        options["pnginfo"].add_itxt("Comment", "an other")
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode(), lang="en", tkey="k")
    if kind == "TIFF":
        options = {"tiffinfo": {0x02BC: XMP}}
    assert found_in(f"image/{kind.lower()}", saved("RGB", kind, **options)) == OF_XMP


def test_iptc_is_found_as_another_program_finds_it() -> None:
    """In a JPEG behind another of Photoshop's resources, and in a TIFF."""
    jpeg = with_segments(saved("RGB", "JPEG"), (0xED, irb(iptc())))
    tiff = saved("RGB", "TIFF", tiffinfo={0x83BB: iptc()})
    for content_type, content in (("image/jpeg", jpeg), ("image/tiff", tiff)):
        assert found_in(content_type, content) == OF_IPTC
        with Pillow.open(io.BytesIO(content)) as image:
            pillows = IptcImagePlugin.getiptcinfo(image) or {}
        assert pillows[(2, 90)] == b"Gizeh"
        assert pillows[(2, 25)] == [b"desert", b"stone"]


def test_iptc_that_declares_no_characters_is_western() -> None:
    """As old archives are; unless it is UTF-8 all the same."""
    for encoding in ("cp1252", "utf-8"):
        packet = dataset(90, "Málaga".encode(encoding))
        assert texts_in(Packets(iptc=packet), frozenset(EVERY)) == {"iptc:City": "Málaga"}
    # Said to be, after a declaration.
    packet = dataset(90, b"\x1b.A", record=1) + dataset(90, "Málaga".encode("cp1252"))
    assert texts_in(Packets(iptc=packet), frozenset(EVERY)) == {}


def test_all_three_are_found_at_once_and_only_what_is_asked() -> None:
    """In any order of segments."""
    jpeg = with_segments(
        saved("RGB", "JPEG"),
        (0xED, irb(iptc())),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        (0xE1, exif().tobytes()),
    )
    assert found_in("image/jpeg", jpeg) == OF_EXIF | OF_IPTC | OF_XMP
    one = asyncio.run(read("image/jpeg", buffer(jpeg), ["iptc:City"]))
    assert one == {"iptc:City": "Gizeh"}


def test_every_name_of_the_table_can_be_found() -> None:
    """None is promised that nothing looks for."""
    assert {*embedded._EXIF, *embedded._IPTC, *embedded._XMP.values()} == set(KINDS)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "PPM"])
def test_other_formats_have_none(kind: str) -> None:
    """Nor do they fail."""
    assert found_in(f"image/{kind.lower()}", saved("RGB", kind)) == {}


# --- hostile


def xmp_of(head: str, body: str) -> bytes:
    return (
        f'{head}<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<r:Description><dc:title>{body}</dc:title></r:Description></r:RDF>"
    ).encode()


BOMB = "<!DOCTYPE x [<!ENTITY a 'lol'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(20)
)


@pytest.mark.parametrize(
    "packet",
    [
        xmp_of(BOMB + "]>", "&u;"),
        xmp_of("<!DOCTYPE x [<!ENTITY f SYSTEM 'file:///etc/passwd'>]>", "&f;"),
        xmp_of("<!DOCTYPE x SYSTEM 'http://127.0.0.1:9/x.dtd'>", "title"),
        xmp_of("", "<a>" * 50_000),
        xmp_of("", "&undefined;"),
        xmp_of("", "title").replace(b"title>", b"ti\xfftle>", 1),
        xmp_of("<?xml version='1.0' encoding='utf-16'?>", "title")[:-8],
        b"\xff\xfe" + xmp_of("", "title").decode().encode("utf-16-le"),
        b"<" * 200_000,
    ],
    ids=["laughs", "file", "dtd", "depth", "entity", "utf-8", "encoding", "utf-16", "angles"],
)
def test_xml_that_is_more_than_text_says_nothing(packet: bytes) -> None:
    """No document type, so no entity; and nothing takes long."""
    began = time.perf_counter()
    found = texts_in(Packets(xmp=packet), frozenset(EVERY))
    assert found.get("xmp:dc:title", "title") == "title"
    assert "lol" not in str(found)
    assert time.perf_counter() - began < 1


def test_a_packet_may_not_choose_its_codec() -> None:
    """It is read as UTF-8, whatever it says, so no codec of Python's is looked up."""
    packet = xmp_of("<?xml version='1.0' encoding='utf-7'?>", "+AGE- title")
    assert texts_in(Packets(xmp=packet), frozenset(EVERY)) == {"xmp:dc:title": "+AGE- title"}


def test_nothing_is_packed_out() -> None:
    """A PNG's text may be a bomb."""
    packed = zlib.compress(XMP + bytes(10_000_000))
    data = b"XML:com.adobe.xmp\0\1\0\0\0" + packed
    chunk = struct.pack(">I", len(data)) + b"iTXt" + data
    chunk += struct.pack(">I", zlib.crc32(b"iTXt" + data))
    png = saved("RGB", "PNG")
    assert found_in("image/png", png[:33] + chunk + png[33:]) == {}


def test_a_directory_that_points_anywhere_ends() -> None:
    """Back to itself, behind the end, and with as many entries as there can be."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    for there in (8, 0, 2**32 - 1):
        name = struct.pack("<HHII", 0x010E, 2, 2**32 - 1, there)
        far = struct.pack("<HHII", 0x013B, 2, 60, there)
        tiff = b"II*\0" + struct.pack("<IH", 8, 0xFFFF) + (entry + name + far) * 3
        found = found_in("image/tiff", tiff)
        assert "exif:ImageDescription" not in found


SAMPLES = {
    "image/jpeg": with_segments(
        saved("RGB", "JPEG"),
        (0xED, irb(iptc())),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        (0xE1, exif().tobytes()),
    )[:6000],
    "image/webp": saved("RGB", "WEBP", exif=exif("<"), xmp=XMP),
    "image/png": saved("L", "PNG", exif=exif()),
    "image/tiff": saved("L", "TIFF", exif=exif(), tiffinfo={0x02BC: XMP, 0x83BB: iptc()}),
}


@pytest.mark.parametrize("content_type", SAMPLES)
@given(data=st.data())
@limits(deadline=None)
def test_no_bytes_break_it(content_type: str, data: st.DataObject) -> None:
    """Cut anywhere, with anything written over it: fields or none, and always text."""
    content = bytearray(SAMPLES[content_type])
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=6))
        content[at : at + len(patch)] = patch
    content = content[: data.draw(st.integers(0, len(content)))]
    packets = embedded._find(content_type, buffer(bytes(content)))
    for name, text in texts_in(packets, frozenset(EVERY)).items():
        assert name in KINDS
        assert isinstance(text, str)


# --- where it is read


SPHINX = with_segments(saved("RGB", "JPEG"), (0xE1, exif().tobytes()))


@pytest.mark.parametrize(
    ("environ", "by_uri"),
    [
        ({"IMAGE_INPUT": "uri"}, True),
        ({"IMAGE_INPUT": "inline"}, False),
        ({"IMAGE_INPUT": "inline", "MAX_IMAGE_SIDE": "64"}, False),
    ],
    ids=["by address", "inline", "converted"],
)
def test_an_image_brings_its_metadata_along(environ: dict[str, str], by_uri: bool) -> None:
    """By its address, too, from its beginning; and where it is turned, before it is converted."""
    content = SPHINX
    if "MAX_IMAGE_SIDE" in environ:
        turned = exif()
        turned[0x0112] = 6
        content = with_segments(saved("RGB", "JPEG"), (0xE1, turned.tobytes()))
    what = upload(size=len(content))
    image = load(what, content, Noted(), metadata=["exif:Artist"], **environ)
    assert (image.uri is not None) is by_uri
    assert image.metadata == {"exif:Artist": "Ada"}
    assert bool(image.converted) is ("MAX_IMAGE_SIDE" in environ)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_of_a_large_image_by_its_address_the_ends_tell(kind: str) -> None:
    """Nothing more is read for it, and nothing at all of the middle."""
    noise = Pillow.effect_noise((1000, 900), 120).convert("RGB")
    into = io.BytesIO()
    options = {"quality": 98} if kind != "PNG" else {}
    noise.save(into, kind, exif=exif(), **options)
    content = into.getvalue()
    assert len(content) > 3 * END_BYTES
    content_type = f"image/{kind.lower()}"
    bucket = Counting(content)
    image = load_by_address(bucket, content_type, metadata=["exif:Artist"])
    assert (image.uri, image.metadata) == ("gs://b12/a", {"exif:Artist": "Ada"})
    assert (bucket.ranges, bucket.whole) == (
        [(0, END_BYTES), (len(content) - END_BYTES, END_BYTES)],
        0,
    )
    plain = load_by_address(Counting(content), content_type)
    assert plain.metadata == {}


def test_what_lies_between_the_ends_says_nothing() -> None:
    """It is passed over, be it at the border."""
    webp = saved("RGB", "WEBP", exif=exif(), xmp=XMP)
    for kept in range(0, len(webp), 7):
        for tail in (b"", webp[-20:]):
            packets = embedded._find("image/webp", Ends(len(webp), webp[:kept], tail))
            assert packets.xmp in {b"", XMP}
    png = SAMPLES["image/png"]
    packets = embedded._find("image/png", Ends(10_000_000, png[:60], png[-12:]))
    assert packets == Packets()
