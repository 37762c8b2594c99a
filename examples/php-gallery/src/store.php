<?php

/** The titles, in a PostgreSQL database. */

declare(strict_types=1);

const MAX_TITLE = 80;

function database(): PDO
{
    static $database = null;
    $database ??= new PDO(
        sprintf('pgsql:host=%s;port=%s;dbname=%s', getenv('CONFIG_PG_HOST'), getenv('CONFIG_PG_PORT'), getenv('CONFIG_PG_DBNAME')),
        getenv('CONFIG_PG_USER'),
        getenv('CONFIG_PG_PASSWORD'),
        [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_OBJ],
    );
    return $database;
}

/** The newest pictures first: objects with id, title, file, added. */
function pictures(): array
{
    return database()->query('SELECT id, title, file, added FROM pictures ORDER BY id DESC LIMIT 200')->fetchAll();
}

function picture(int $id): ?object
{
    $query = database()->prepare('SELECT id, title, file, added FROM pictures WHERE id = ?');
    $query->execute([$id]);
    return $query->fetch() ?: null;
}

function count_pictures(): int
{
    return (int) database()->query('SELECT count(*) FROM pictures')->fetchColumn();
}

function add_picture(string $title, string $file): void
{
    database()->prepare('INSERT INTO pictures (title, file) VALUES (?, ?)')->execute([$title, $file]);
}
