-- An empty map is no pleasure to look at, so some places sign first.
INSERT INTO entries (name, message, place) VALUES
    ('Ushuaia', 'South of here there is only ice. Bring a warm coat, and a picture.', ST_MakePoint(-68.30, -54.80)),
    ('Nairobi', 'The lions are in the park at the end of the street. Really.', ST_MakePoint(36.82, -1.29)),
    ('Wellington', 'The wind says hello, and it says it loudly.', ST_MakePoint(174.78, -41.29)),
    ('Reykjavík', 'Half of the year it is morning, the other half it is evening. Come for both.', ST_MakePoint(-21.94, 64.15)),
    ('Kyōto', 'The maples are red now. We kept a bench free for you.', ST_MakePoint(135.77, 35.01)),
    ('Quito', 'One foot in the north, one in the south. The line is painted on the ground.', ST_MakePoint(-78.46, 0)),
    ('Greenwich', 'Longitude nought begins in my garden. Click anywhere to see how far away you are!', ST_MakePoint(0, 51.48));
