#!/bin/sh
# Hand a message in, wait until customs has decided, acknowledge. Needs curl and jq.
# Usage: GATEWAY_URL=http://127.0.0.1:8080 GATEWAY_TOKEN_FILE=demo.token sh submit.sh payment.xml
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The token goes by a file: the command line is for everybody to read.
printf 'header = "Authorization: Bearer %s"\n' "$(cat "$GATEWAY_TOKEN_FILE")" > "$work/curlrc"

ask() { # prints the status; the body is in $work/answer. 429, 503 and no answer at all are tried again, by Retry-After
    curl -sS -K "$work/curlrc" --retry 8 --retry-connrefused --max-time 90 -o "$work/answer" -w '%{http_code}' "$@"
}

submit() {
    ask -H 'Content-Type: application/xml' --data-binary "@$1" "$GATEWAY_URL/v1/messages$2"
}

refuse() { # a problem document: one code, and every place that is wrong
    jq -r '"refused: \(.code) \(.title) / \(.title_zh)", (.faults[] | "  \(.path) \(.message) / \(.message_zh) \(.fix) / \(.fix_zh)")' \
        "$work/answer" >&2
    exit 1
}

case $(submit "$1" '?dry_run=true') in 200) ;; *) refuse ;; esac
case $(submit "$1" '') in 200 | 202) ;; *) refuse ;; esac
id=$(jq -r .id "$work/answer")
open=$(jq '.declarations | length' "$work/answer")
jq -c '[.declarations[].key]' "$work/answer" > "$work/keys"
echo "accepted: $id"

while [ "$open" -gt 0 ]; do
    case $(ask "$GATEWAY_URL/v1/receipts?wait=30") in 200) ;; *) refuse ;; esac
    cat "$work/answer" >> "$work/receipts" # store it durably on your side, then acknowledge
    cursor=$(jq .cursor "$work/answer")
    jq -r '.receipts[].bodies[] | "\(.message_type) \(.status) \(.meaning.kind) \(.meaning.zh)"' "$work/answer"
    decided=$(jq -s --slurpfile keys "$work/keys" '[.[].receipts[].bodies[]
        | select(.meaning.kind | IN("accepted", "refused", "final")) | .declarations[].key
        | select(. as $key | $keys[0] | index([$key]))] | unique | length' "$work/receipts")
    case $(ask -H 'Content-Type: application/json' -d "{\"cursor\": $cursor}" "$GATEWAY_URL/v1/receipts/ack") in
        200) ;;
        *) refuse ;;
    esac
    open=$(($(jq length "$work/keys") - decided))
done
echo "decided: $id"
