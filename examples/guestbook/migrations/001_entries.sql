-- A geography is a point of the round Earth: distances come out in metres, also across the date line.
CREATE TABLE entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 60),
    message text NOT NULL CHECK (char_length(message) BETWEEN 1 AND 500),
    place geography(Point, 4326) NOT NULL,
    written timestamptz NOT NULL DEFAULT now()
);

-- Finds the nearest entries without measuring the distance to all of them.
CREATE INDEX entries_place ON entries USING gist (place);
