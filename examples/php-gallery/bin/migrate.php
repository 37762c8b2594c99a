#!/usr/bin/env php
<?php

/** Brings the database up to date: runs the files of migrations/ that it has not seen, all in one transaction. */

declare(strict_types=1);

require __DIR__ . '/../src/store.php';

/** Any number, the same for everybody who migrates this database: two of them wait for each other. */
const LOCK = 20100120;

$database = database();
$database->beginTransaction();
$database->exec('SELECT pg_advisory_xact_lock(' . LOCK . ')');
$database->exec('CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, ran timestamptz DEFAULT now())');
$seen = $database->query('SELECT name FROM migrations')->fetchAll(PDO::FETCH_COLUMN);
foreach (glob(__DIR__ . '/../migrations/*.sql') as $file) {
    $name = basename($file);
    if (!in_array($name, $seen, true)) {
        echo "migrating: $name\n";
        $database->exec(file_get_contents($file));
        $database->prepare('INSERT INTO migrations (name) VALUES (?)')->execute([$name]);
    }
}
$database->commit();
