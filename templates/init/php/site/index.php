<?php
$name = htmlspecialchars(getenv('CLOUDTOOL_APP_NAME') ?: 'app');
$release = htmlspecialchars(getenv('CLOUDTOOL_RELEASE') ?: 'a release that is not deployed');
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title><?= $name ?></title>
<h1>Hello from <?= $name ?></h1>
<p>This is <?= $release ?>. Edit <code>site/index.php</code>, then run <code>cloudtool update</code>.</p>
</html>
