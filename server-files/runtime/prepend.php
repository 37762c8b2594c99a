<?php
// Before every PHP script: the environment in $_SERVER too, the mount where PHP looks for it, the flags of the node's own requests, nothing
// of the front's own headers.
(static function (): void {
    $_SERVER += getenv();
    // The index of a directory is called like any other script.
    if (str_ends_with($_SERVER['SCRIPT_NAME'] ?? '', '/')) {
        $_SERVER['SCRIPT_NAME'] .= basename((string) $_SERVER['SCRIPT_FILENAME']);
        $_SERVER['PHP_SELF'] = $_SERVER['SCRIPT_NAME'];
    }
    $mount = $_SERVER['HTTP_X_CLOUDTOOL_MOUNT'] ?? '';
    if ($mount !== '') {
        foreach (['SCRIPT_NAME', 'PHP_SELF', 'REQUEST_URI', 'DOCUMENT_URI'] as $name) {
            if (isset($_SERVER[$name])) {
                $_SERVER[$name] = $mount . $_SERVER[$name];
            }
        }
    }
    $update = $_SERVER['HTTP_X_CLOUDTOOL_UPDATE'] ?? '';
    if ($update !== '' && hash_equals((string) file_get_contents((string) getenv('CLOUDTOOL_SECRET_FILE')), $update)) {
        $cron = $_SERVER['HTTP_X_CLOUDTOOL_CRON'] ?? '';
        $_SERVER[$cron === '' ? 'cloudtool.update' : 'cloudtool.cron'] = $cron === '' ? true : $cron;
    }
    unset($_SERVER['HTTP_X_CLOUDTOOL_MOUNT'], $_SERVER['HTTP_X_CLOUDTOOL_UPDATE'], $_SERVER['HTTP_X_CLOUDTOOL_CRON']);
    // Where the runner got a request that names no script, its own name is what an app builds its links from.
    $root = (string) getenv('CLOUDTOOL_RELEASE_DIR');
    $runner = (string) getenv('CLOUDTOOL_RUNNER');
    if ($runner !== '' && ($_SERVER['SCRIPT_FILENAME'] ?? '') === "$root/$runner") {
        $_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = $mount . '/' . basename($runner);
    }
    chdir(dirname((string) ($_SERVER['SCRIPT_FILENAME'] ?? "$root/.")));
})();
