-- The name of a file in CONFIG_FILES/pictures.
ALTER TABLE entries ADD COLUMN picture text;
