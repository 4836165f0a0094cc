<?php
// What the small application of the lab has in common: its settings and its database, as Laravel reads them.

/** The settings of `.env`. */
function settings(): array
{
    $settings = [];
    foreach (file(__DIR__ . '/../.env', FILE_IGNORE_NEW_LINES) as $line) {
        if (preg_match('/^([A-Z_]+)=(.*)$/', $line, $found)) $settings[$found[1]] = trim($found[2], '"');
    }
    return $settings;
}

function database(): PDO
{
    $settings = settings();
    $source = "mysql:unix_socket={$settings['DB_SOCKET']};dbname={$settings['DB_DATABASE']};charset=utf8mb4";
    $options = [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION];
    return new PDO($source, $settings['DB_USERNAME'], $settings['DB_PASSWORD'], $options);
}
