<?php

/** The HTML. Every value from outside goes through html(). */

declare(strict_types=1);

function layout(string $body): string
{
    return '<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Gallery</title>
<link rel="stylesheet" href="' . url('/style.css') . '">
<header><a href="' . url('/') . '">Gallery</a></header>
<main>' . $body . '</main>
</html>
';
}

function gallery_page(array $pictures): string
{
    $cards = '';
    foreach ($pictures as $picture) {
        $cards .= '<a class="picture" href="' . url("/pictures/$picture->id") . '">
<img src="' . url("/files/$picture->file-small.jpg") . '" alt="" loading="lazy"><span>' . html($picture->title) . '</span></a>
';
    }
    return layout('<form method="post" action="' . url('/') . '" enctype="multipart/form-data">
<label>Title <input name="title" maxlength="' . MAX_TITLE . '" required></label>
<label>Picture <small>up to ' . html(ini_get('upload_max_filesize')) . 'B</small>
<input name="picture" type="file" accept="image/jpeg,image/png,image/gif,image/webp" required></label>
<button>Hang it up</button>
</form>
<section class="wall">' . ($cards ?: '<p class="empty">The walls are bare. Hang up the first picture!</p>') . '</section>');
}

function picture_page(object $picture): string
{
    return layout('<figure><img src="' . url("/files/$picture->file-large.jpg") . '" alt="">
<figcaption><b>' . html($picture->title) . '</b> <time>' . html(substr($picture->added, 0, 10)) . '</time></figcaption></figure>');
}

function error_page(int $status, string $sentence): string
{
    return layout("<section class=\"error\"><h1>$status</h1><p>" . html($sentence) . '</p></section>');
}
