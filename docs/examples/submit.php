<?php
// Hand a message in, wait until customs has decided, acknowledge. PHP 8 with its curl extension.
// Usage: GATEWAY_URL=http://127.0.0.1:8080 GATEWAY_TOKEN_FILE=demo.token php submit.php payment.xml

declare(strict_types=1);

const ATTEMPTS = 8;

/** One request. Sent again after 429 and 503 as the gateway asks, and after no answer: that is always safe. */
function ask(string $path, ?string $body = null, string $contentType = 'application/xml'): array
{
    static $token = null;
    $token ??= trim(file_get_contents(getenv('GATEWAY_TOKEN_FILE')));
    for ($attempt = 1; ; $attempt++) {
        $retryAfter = 1;
        $curl = curl_init(getenv('GATEWAY_URL') . $path);
        curl_setopt_array($curl, [
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 90,
            CURLOPT_HTTPHEADER => ["Authorization: Bearer $token", "Content-Type: $contentType", 'Expect:'],
            CURLOPT_HEADERFUNCTION => function ($curl, string $line) use (&$retryAfter): int {
                if (preg_match('/^retry-after: *(\d+)/i', $line, $found)) {
                    $retryAfter = min(60, (int) $found[1]);
                }
                return strlen($line);
            },
        ]);
        if ($body !== null) {
            curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
        }
        $answer = curl_exec($curl);
        $status = (int) curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
        if ($answer !== false && $status < 300) {
            return json_decode($answer, true, 64, JSON_THROW_ON_ERROR);
        }
        if ($answer !== false && $status !== 429 && $status !== 503) {
            refuse(json_decode($answer, true, 64, JSON_THROW_ON_ERROR));
        }
        if ($attempt === ATTEMPTS) {
            fwrite(STDERR, 'no answer: ' . curl_error($curl) . "\n");
            exit(1);
        }
        sleep($retryAfter);
    }
}

/** A problem document: one code, and every place that is wrong. */
function refuse(array $problem): never
{
    fwrite(STDERR, "refused: {$problem['code']} {$problem['title']} / {$problem['title_zh']}\n");
    foreach ($problem['faults'] as $fault) {
        fwrite(STDERR, "  {$fault['path']} {$fault['message']} / {$fault['message_zh']} {$fault['fix']} / {$fault['fix_zh']}\n");
    }
    exit(1);
}

$body = file_get_contents($argv[1]); // the bytes as they are: never read and written anew
ask('/v1/messages?dry_run=true', $body);
$message = ask('/v1/messages', $body);
echo "accepted: {$message['id']}\n";
$waiting = array_column($message['declarations'], 'key');
while ($waiting !== []) {
    $page = ask('/v1/receipts?wait=30');
    foreach ($page['receipts'] as $receipt) { // store it durably on your side, then acknowledge
        foreach ($receipt['bodies'] as $answer) {
            $meaning = $answer['meaning'];
            echo "{$answer['message_type']} {$answer['status']} {$meaning['kind']} {$meaning['zh']}\n";
            if (in_array($meaning['kind'], ['accepted', 'refused', 'final'], true)) {
                $told = array_column($answer['declarations'], 'key');
                $waiting = array_filter($waiting, fn (array $key): bool => !in_array($key, $told));
            }
        }
    }
    ask('/v1/receipts/ack', json_encode(['cursor' => $page['cursor']]), 'application/json');
}
echo "decided: {$message['id']}\n";
