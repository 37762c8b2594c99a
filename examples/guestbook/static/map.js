// A click on the map chooses a place: for the new entry, and for the list, which then begins with the nearest.
"use strict";

const map = document.getElementById("map");
const here = document.getElementById("here");
const form = document.querySelector("form");

map.addEventListener("click", async (event) => {
  if (event.target.closest("a")) return; // a dot: its link does the same
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
  const [lat, lon] = [(-point.y).toFixed(3), point.x.toFixed(3)];
  form.lat.value = lat;
  form.lon.value = lon;
  here.setAttribute("transform", `translate(${lon} ${-lat})`);
  here.removeAttribute("hidden");

  const address = new URL(`?lat=${lat}&lon=${lon}`, location.href);
  const page = await (await fetch(address)).text();
  const entries = new DOMParser().parseFromString(page, "text/html").getElementById("entries");
  document.getElementById("entries").replaceWith(entries);
  history.replaceState(null, "", address);
});
