<?php

/** The front controller: which address does what. The details live in ../src. */

declare(strict_types=1);

foreach (['http', 'store', 'pictures', 'pages'] as $part) {
    require __DIR__ . "/../src/$part.php";
}

/** Upload, then back to the gallery. */
function upload(): void
{
    refuse_other_sites();
    if ($_POST === [] && $_FILES === []) {
        // PHP throws away a form that is longer than its post_max_size.
        throw new Refused(413, 'A picture has at most ' . ini_get('upload_max_filesize') . 'B.');
    }
    $title = is_string($_POST['title'] ?? null) ? trim($_POST['title']) : '';
    if (!preg_match('/^\P{Cc}{1,' . MAX_TITLE . '}$/Du', $title)) {
        throw new Refused(422, 'A picture has a title of at most ' . MAX_TITLE . ' characters.');
    }
    $file = keep_picture($_FILES['picture'] ?? null);
    add_picture($title, $file);
    redirect('/');
}

send_security_headers();
try {
    $path = path();
    $method = $_SERVER['REQUEST_METHOD'] === 'HEAD' ? 'GET' : $_SERVER['REQUEST_METHOD'];
    if ($method === 'GET' && $path === '/') {
        echo gallery_page(pictures());
    } elseif ($method === 'POST' && $path === '/') {
        upload();
    } elseif ($method === 'GET' && preg_match('#^/pictures/([1-9][0-9]{0,8})$#', $path, $match)) {
        echo picture_page(picture((int) $match[1]) ?? throw new Refused(404, 'There is no such picture.'));
    } elseif ($method === 'GET' && preg_match('#^/files/([0-9a-f]{32})-(large|small)\.jpg$#', $path, $match)) {
        send_picture($match[1], $match[2]);
    } elseif ($method === 'GET' && $path === '/health') {
        echo count_pictures(), " pictures\n";
    } else {
        throw new Refused(404, 'There is nothing here.');
    }
} catch (Refused $refused) {
    http_response_code($refused->status);
    echo error_page($refused->status, $refused->getMessage());
}
