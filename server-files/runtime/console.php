<?php
// Before a PHP prompt: the classes of the app, as its front controller finds them.
(static function (): void {
    $root = (string) getenv('CLOUDTOOL_RELEASE_DIR');
    $places = array_unique([$root, dirname("$root/" . getenv('CLOUDTOOL_RUNNER'))]);
    foreach ($places as $place) {
        foreach (['vendor/autoload.php', 'autoload.php'] as $name) {
            if (is_file("$place/$name")) {
                require_once "$place/$name";
                return;
            }
        }
    }
})();
