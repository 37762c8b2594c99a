"""A guestbook on a map. This file says which address does what; the details live in the package `guestbook`."""

from guestbook import pages, pictures, store
from guestbook.web import HttpError, Request, Response, serve


def route(request: Request) -> Response:
    match request.method, request.path.split("/")[1:]:
        case "GET", [""]:
            return show(request)
        case "POST", [""]:
            return sign(request)
        case "GET", ["pictures", name]:
            return picture(name)
        case "GET", ["health"]:
            return Response(store.postgis_version() + "\n", content_type="text/plain; charset=utf-8")
        case _, [""] | ["pictures", _] | ["health"]:
            raise HttpError(405, "This address does not do that.")
        case _:
            raise HttpError(404, "There is nothing here.")


def show(request: Request) -> Response:
    """The map and the entries: the newest first, or the nearest to `?lat=..&lon=..`."""
    near = store.Place.parse(request.query.get("lat"), request.query.get("lon"))
    return Response(pages.guestbook(request.mount, store.entries(near), store.places(), near))


def sign(request: Request) -> Response:
    """Writes an entry, then shows it among its neighbours."""
    request.refuse_other_sites()
    form = request.form()
    name, message = form.text("name"), form.text("message")
    place = store.Place.parse(form.text("lat"), form.text("lon"))
    problem = store.problem_with(name, message, place)
    stored = None
    if not problem and form.files.get("picture"):
        try:
            stored = pictures.keep(form.files["picture"])
        except pictures.NotAPicture as error:
            problem = str(error)
    if problem:
        page = pages.guestbook(request.mount, store.entries(place), store.places(), place, form.fields, problem)
        return Response(page, status=422)
    entry = store.add(name, message, place, stored)
    return Response.redirect(f"{request.mount}/?lat={place.lat}&lon={place.lon}#entry-{entry}")


def picture(name: str) -> Response:
    data = pictures.load(name)
    if data is None:
        raise HttpError(404, "There is no such picture.")
    # A name is used once, so the browser may keep what it got for ever.
    return Response(
        data,
        content_type=pictures.content_type(name),
        headers=[("Cache-Control", "public, max-age=31536000, immutable")],
    )


application = serve(route, pages.error)
