"""The HTML. Every value from outside goes through `escape`."""

from html import escape

from .store import MAX_MESSAGE, MAX_NAME, Entry, Place

LAYOUT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Guestbook</title>
<link rel="icon" href="{mount}/icon.svg">
<link rel="stylesheet" href="{mount}/style.css">
<header><a href="{mount}/"><img src="{mount}/icon.svg" alt="" width="40" height="40"> Guestbook</a>
<p>Say hello, and show us where on Earth you are.</p></header>
<main>{body}</main>
<footer>Python, PostGIS and a directory for the pictures. Deployed with cloudtool.
The coastlines are Natural Earth's.</footer>
</html>
"""

# One unit of the map is one degree; y grows to the south.
MAP = """<figure class="map">
<svg id="map" viewBox="-180 -84 360 142" role="img" aria-label="A map of the world with a dot for every entry">
<image href="{mount}/world.svg" x="-180" y="-84" width="360" height="142"/>
<path class="grid" d="M-180-60h360M-180-30h360M-180 30h360M-120-84v142M-60-84v142M0-84v142M60-84v142M120-84v142"/>
<path class="grid equator" d="M-180 0h360"/>
{dots}
<g id="here" class="here"{transform}><circle r="5"/><circle r="1.6"/></g>
</svg>
<figcaption>Click where you are: the entries nearest to it come first, and yours will be put there.</figcaption>
</figure>"""

FORM = """<form method="post" action="{mount}/" enctype="multipart/form-data">
<h2>Leave an entry</h2>
{problem}
<label>Name <input name="name" maxlength="{max_name}" required value="{name}"></label>
<label>Message <textarea name="message" rows="4" maxlength="{max_message}" required>{message}</textarea></label>
<div class="pair">
<label>Latitude <input name="lat" type="number" min="-90" max="90" step="any" required value="{lat}"></label>
<label>Longitude <input name="lon" type="number" min="-180" max="180" step="any" required value="{lon}"></label>
</div>
<label>Picture <small>if you like: JPEG, PNG, GIF or WebP, up to 3 MB</small>
<input name="picture" type="file" accept="image/jpeg,image/png,image/gif,image/webp"></label>
<button>Sign the guestbook</button>
</form>"""

ENTRY = """<article class="entry" id="entry-{id}">
{picture}<div><p class="message">{message}</p>
<p class="by"><b>{name}</b> <time datetime="{written:%Y-%m-%dT%H:%M:%SZ}">{written:%-d %B %Y}</time>
<a href="{mount}/?lat={lat}&amp;lon={lon}#entries">{where}</a> {distance}</p></div>
</article>"""


def guestbook(
    mount: str,
    entries: list[Entry],
    places: list[tuple[int, Place]],
    near: Place | None,
    form: dict[str, str] | None = None,
    problem: str | None = None,
) -> str:
    """The whole page. `form` and `problem` bring back what a visitor wrote together with what was wrong with it."""
    form = form or {}
    body = f"""{world(mount, places, near)}
<div class="columns">
{
        FORM.format(
            mount=escape(mount),
            max_name=MAX_NAME,
            max_message=MAX_MESSAGE,
            name=escape(form.get("name", "")),
            message=escape(form.get("message", "")),
            lat=near.lat if near else "",
            lon=near.lon if near else "",
            problem=f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else "",
        )
    }
<section id="entries" aria-live="polite">
<h2>{f"Nearest to {coordinates(near.lat, near.lon)}" if near else "The newest entries"}</h2>
{"".join(article(mount, entry) for entry in entries) or "<p>Nobody has written anything yet. Be the first!</p>"}
</section>
</div>
<script src="{escape(mount)}/map.js"></script>"""
    return LAYOUT.format(mount=escape(mount), body=body)


def world(mount: str, places: list[tuple[int, Place]], near: Place | None) -> str:
    dots = "".join(
        f'<a href="{escape(mount)}/?lat={place.lat}&amp;lon={place.lon}#entry-{number}">'
        f'<circle class="dot" cx="{place.lon}" cy="{-place.lat}" r="2"/></a>'
        for number, place in places
    )
    transform = f' transform="translate({near.lon} {-near.lat})"' if near else " hidden"
    return MAP.format(mount=escape(mount), dots=dots, transform=transform)


def article(mount: str, entry: Entry) -> str:
    address = f"{escape(mount)}/pictures/{entry.picture}"
    return ENTRY.format(
        mount=escape(mount),
        id=entry.id,
        name=escape(entry.name),
        message=escape(entry.message),
        written=entry.written,
        lat=entry.lat,
        lon=entry.lon,
        where=coordinates(entry.lat, entry.lon),
        distance="" if entry.metres is None else f'<span class="distance">{distance(entry.metres)}</span>',
        picture=f'<a href="{address}"><img src="{address}" alt="" loading="lazy"></a>' if entry.picture else "",
    )


def coordinates(lat: float, lon: float) -> str:
    return f"{abs(lat):.1f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.1f}° {'E' if lon >= 0 else 'W'}"


def distance(metres: float) -> str:
    if metres < 1000:
        return "right here"
    kilometres = metres / 1000
    return f"{kilometres:.1f} km away" if kilometres < 10 else f"{kilometres:,.0f} km away"


def error(mount: str, status: int, sentence: str) -> str:
    body = f'<section class="error"><h2>{status}</h2><p>{escape(sentence)}</p></section>'
    return LAYOUT.format(mount=escape(mount), body=body)
