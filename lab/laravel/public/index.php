<?php
// The front controller: counts visits, takes jobs, sends mail.
require __DIR__ . '/../bootstrap/app.php';

$settings = settings();
$database = database();
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$database->prepare('INSERT INTO visits (path) VALUES (?)')->execute([$path]);
if (strlen(base64_decode(substr($settings['APP_KEY'], 7))) !== 32) throw new Exception('no key');
file_put_contents(__DIR__ . '/../storage/logs/laravel.log', "$path\n", FILE_APPEND);

if ($path === '/enqueue') $database->prepare('INSERT INTO jobs (payload) VALUES (?)')->execute([$_GET['job']]);
if ($path === '/mail') mail($_GET['to'], 'From the lab', "Hello from {$settings['APP_URL']}\n") || http_response_code(502);
if ($path === '/done') exit(json_encode($database->query('SELECT DISTINCT what, by_user FROM done')->fetchAll(PDO::FETCH_NUM)));

$visits = $database->query('SELECT COUNT(*) FROM visits')->fetchColumn();
echo 'Laravel application ', $settings['APP_NAME'] ?? '', ' of ', $database->query('SELECT CURRENT_USER()')->fetchColumn(), ", visit $visits\n";
