<?php

/**
 * The files in CONFIG_FILES. What is uploaded is never kept as it came: it is decoded and written again as JPEG, which leaves out
 * whatever else was in it, the place where a phone took it too.
 */

declare(strict_types=1);

/** A decoded pixel takes four bytes: 16 million of them fit in PHP's usual 128 MB. */
const MAX_PIXELS = 16_000_000;

/** The sizes kept of each picture: name and longest side. */
const SIZES = ['large' => 1600, 'small' => 480];

function picture_file(string $name, string $size): string
{
    return getenv('CONFIG_FILES') . "/$name-$size.jpg";
}

/** Takes an entry of $_FILES, writes the picture in all sizes and answers its name. */
function keep_picture(?array $upload): string
{
    $error = $upload['error'] ?? UPLOAD_ERR_NO_FILE;
    if ($error === UPLOAD_ERR_INI_SIZE || $error === UPLOAD_ERR_FORM_SIZE) {
        throw new Refused(413, 'A picture has at most ' . ini_get('upload_max_filesize') . 'B.');
    }
    if ($error !== UPLOAD_ERR_OK) {
        throw new Refused(422, 'Please choose a picture.');
    }
    $temporary = $upload['tmp_name'];
    [$width, $height, $type] = @getimagesize($temporary) ?: [0, 0, null];
    if ($width * $height > MAX_PIXELS) {
        throw new Refused(422, 'A picture has at most 16 megapixels.');
    }
    $picture = match ($type) {
        IMAGETYPE_JPEG => @imagecreatefromjpeg($temporary),
        IMAGETYPE_PNG => @imagecreatefrompng($temporary),
        IMAGETYPE_GIF => @imagecreatefromgif($temporary),
        IMAGETYPE_WEBP => @imagecreatefromwebp($temporary),
        default => false,
    };
    if ($picture === false) {
        throw new Refused(422, 'A picture is a JPEG, PNG, GIF or WebP file.');
    }
    $name = bin2hex(random_bytes(16));
    foreach (SIZES as $size => $side) {
        imagejpeg(scaled($picture, $side), picture_file($name, $size), 84);
    }
    return $name;
}

/** A copy whose longest side is at most $side, on white where it is transparent. */
function scaled(GdImage $picture, int $side): GdImage
{
    [$width, $height] = [imagesx($picture), imagesy($picture)];
    $scale = min(1, $side / max($width, $height));
    $copy = imagecreatetruecolor(max(1, (int) ($width * $scale)), max(1, (int) ($height * $scale)));
    imagefill($copy, 0, 0, imagecolorallocate($copy, 255, 255, 255));
    imagecopyresampled($copy, $picture, 0, 0, 0, 0, imagesx($copy), imagesy($copy), $width, $height);
    return $copy;
}

/** The name comes from an address, and is hexadecimal: it leads nowhere else. */
function send_picture(string $name, string $size): void
{
    $file = picture_file($name, $size);
    if (!is_file($file)) {
        throw new Refused(404, 'There is no such picture.');
    }
    header('Content-Type: image/jpeg');
    header('Content-Length: ' . filesize($file));
    header('Cache-Control: public, max-age=31536000, immutable');
    readfile($file);
}
