<?php

/** The little of HTTP that this app needs. */

declare(strict_types=1);

/** Ends a request with a status and a sentence for the visitor. */
final class Refused extends Exception
{
    public function __construct(public readonly int $status, string $sentence)
    {
        parent::__construct($sentence);
    }
}

/** Where the app hangs: '' at the root of a host, '/blog' when it was deployed to HOST/blog. */
function mount(): string
{
    return rtrim(preg_replace('#/[^/]*\.php$#', '', $_SERVER['SCRIPT_NAME']), '/');
}

/** The address asked for, without the mount. */
function path(): string
{
    $path = (string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
    return str_starts_with($path, mount() . '/') ? substr($path, strlen(mount())) : ($path === mount() ? '/' : $path);
}

/** An address of this app, ready for an attribute. */
function url(string $path): string
{
    return html(mount() . $path);
}

function html(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}

function redirect(string $path): void
{
    header('Location: ' . mount() . $path, true, 303);
}

function send_security_headers(): void
{
    header("Content-Security-Policy: default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
    header('X-Content-Type-Options: nosniff');
}

/** Stops forms on other sites from writing here in a visitor's name (CSRF): every browser says where a POST comes from. */
function refuse_other_sites(): void
{
    $origin = $_SERVER['HTTP_ORIGIN'] ?? null;
    $from_here = $origin === null || preg_replace('#^https?://#', '', $origin) === ($_SERVER['HTTP_HOST'] ?? '');
    if (($_SERVER['HTTP_SEC_FETCH_SITE'] ?? 'same-origin') !== 'same-origin' || !$from_here) {
        throw new Refused(403, 'This form was sent from another site.');
    }
}
