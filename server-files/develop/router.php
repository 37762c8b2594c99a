<?php
// A PHP app on a developer's machine: what Apache's rules and mod_php do on a node. The front has decided which script is meant.
(static function (): void {
    $root = (string) getenv('CLOUDTOOL_RELEASE_DIR');
    $script = realpath($root . '/' . rawurldecode($_SERVER['HTTP_X_CLOUDTOOL_SCRIPT'] ?? ''));
    if ($script === false || !is_file($script) || !str_starts_with($script, realpath($root) . '/')) {
        http_response_code(404);
        exit;
    }
    $name = rawurldecode($_SERVER['HTTP_X_CLOUDTOOL_NAME'] ?? '/');
    $info = rawurldecode($_SERVER['HTTP_X_CLOUDTOOL_PATH_INFO'] ?? '');
    unset($_SERVER['PATH_INFO'], $_SERVER['PATH_TRANSLATED']);
    unset($_SERVER['HTTP_X_CLOUDTOOL_SCRIPT'], $_SERVER['HTTP_X_CLOUDTOOL_NAME'], $_SERVER['HTTP_X_CLOUDTOOL_PATH_INFO']);
    [$host, $port] = explode(':', ($_SERVER['HTTP_HOST'] ?? 'localhost') . ':80');
    $about = [
        'SCRIPT_FILENAME' => $script,
        'SCRIPT_NAME' => $name,
        'PHP_SELF' => $name . $info,
        'DOCUMENT_ROOT' => dirname($script),
        'QUERY_STRING' => $_SERVER['QUERY_STRING'] ?? '',
        'SERVER_NAME' => $host,
        'SERVER_PORT' => $port,
        'SERVER_SOFTWARE' => 'cloudtool',
        'REMOTE_ADDR' => $_SERVER['HTTP_X_FORWARDED_FOR'] ?? '127.0.0.1',
        'cloudtool.devel' => true,
    ];
    if ($info !== '') {
        $about['PATH_INFO'] = $info;
    }
    // As on a node, the variables of the environment are here, too; none that looks like a header.
    $environment = array_filter(getenv(), static fn($name): bool => !str_starts_with($name, 'HTTP_'), ARRAY_FILTER_USE_KEY);
    $_SERVER = $about + $_SERVER + $environment;

    // What goes wrong is told to the front, which makes a page of it. An app with a handler of its own has its own.
    $report = static function (array $traces) use ($root): void {
        if (headers_sent()) {
            return;
        }
        while (ob_get_level() > 0) {
            ob_end_clean();
        }
        header_remove();
        http_response_code(500);
        header('Content-Type: application/json');
        header('X-Cloudtool-Failure: 1');
        $request = $_SERVER['REQUEST_METHOD'] . ' ' . strtok($_SERVER['REQUEST_URI'], '?');
        $told = ['message' => "$request failed.", 'traces' => $traces, 'missing' => null, 'python' => null];
        echo json_encode($told, JSON_INVALID_UTF8_SUBSTITUTE);
    };
    $frame = static function (string $path, int $line, string $function) use ($root): array {
        $code = [];
        foreach (@file($path, FILE_IGNORE_NEW_LINES) ?: [] as $index => $text) {
            if (abs($index + 1 - $line) <= 4) {
                $code[] = [$index + 1, $text];
            }
        }
        $own = str_starts_with($path, "$root/") && !str_contains($path, '/vendor/');
        $file = $own ? substr($path, strlen($root) + 1) : $path;
        return ['file' => $file, 'line' => $line, 'function' => $function, 'own' => $own, 'code' => $code];
    };
    set_exception_handler(static function (Throwable $error) use ($report, $frame): void {
        error_log('PHP Fatal error:  Uncaught ' . $error);
        $traces = [];
        for (; $error !== null; $error = $error->getPrevious()) {
            $frames = [];
            [$file, $line] = [$error->getFile(), $error->getLine()];
            foreach ($error->getTrace() as $call) {
                if (in_array($call['function'], ['require', 'require_once', 'include', 'include_once'], true)) {
                    $call['function'] = '';
                }
                $frames[] = $frame($file, $line, ($call['class'] ?? '') . ($call['type'] ?? '') . $call['function']);
                [$file, $line] = [$call['file'] ?? $file, $call['line'] ?? $line];
            }
            $frames[] = $frame($file, $line, '');
            $frames = array_filter($frames, static fn(array $frame): bool => $frame['file'] !== __FILE__);
            $traces[] = ['title' => $error::class . ': ' . $error->getMessage(), 'frames' => array_reverse($frames)];
        }
        $report(array_reverse($traces));
    });
    register_shutdown_function(static function () use ($report, $frame): void {
        $error = error_get_last();
        if ($error !== null && $error['type'] & (E_ERROR | E_PARSE | E_CORE_ERROR | E_COMPILE_ERROR)) {
            $report([['title' => $error['message'], 'frames' => [$frame($error['file'], $error['line'], '')]]]);
        }
    });
})();
require dirname(__DIR__) . '/runtime/prepend.php';
require $_SERVER['SCRIPT_FILENAME'];
