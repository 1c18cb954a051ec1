#!/bin/sh
# Proves what a person sees when there are PDFs among the documents of a plan, in the real jail: one with words becomes a
# note that names it with the hash of its bytes; one that is a scan, damaged or a FIFO is a question that says what to do
# and stops nothing else; nothing of it needs more than a jail has, as root or as an ordinary user.
. "$(dirname "$0")/lib.sh"
[ -x /usr/bin/pdftotext ] || { echo "  no /usr/bin/pdftotext"; exit 77; }
need_model

# pdf CONTENT: a PDF of one page, without the table at its end, which readers put together themselves.
pdf() {
  cat <<PDF
%PDF-1.4
1 0 obj
<< /Type /Catalog /Pages 2 0 R >>
endobj
2 0 obj
<< /Type /Pages /Count 1 /Kids [3 0 R] >>
endobj
3 0 obj
<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>
endobj
4 0 obj
<< /Length ${#1} >>
stream
$1
endstream
endobj
5 0 obj
<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>
endobj
trailer
<< /Size 6 /Root 1 0 R >>
%%EOF
PDF
}

work "$T/w" cat
pdf 'BT /F 12 Tf 50 700 Td (The cat sat on the mat and thought of fish.) Tj ET' >"$T/w/sources/good.pdf"
pdf '0 0 100 100 re f' >"$T/w/sources/scan.pdf"
head -c 40 "$T/w/sources/good.pdf" >"$T/w/sources/damaged.pdf"
mkfifo "$T/w/sources/fifo.pdf"
refuses "the run waits for answers" 4 'waiting for you' "$BIN/crannog" run "$T/w/PLAN.md"
cp "$T/.out" "$T/out"
check "a PDF with words has its note" grep -q '^+ note .*sources/good.pdf -> notes/good.md' "$T/out"
check "which names the PDF's own bytes" sh -c "cd '$T/w' && sed -n 's/^    //p' notes/good.md | sha256sum --check --status"
check "its words were read" sh -c "'$BIN/crannog' show r1 --json | grep -q '\"source\":\"sources/good.pdf\"'"
check "a scan is told from a text" grep -q '^! note .*sources/scan.pdf.*has no text.*ocrmypdf' "$T/out"
check "a damaged one is said to be damaged" grep -q '^! note .*sources/damaged.pdf.*is damaged' "$T/out"
check "a FIFO is no document" sh -c "! grep -q fifo '$T/out'"
check "text beside them is read" test -s "$T/w/notes/cat.md"

if [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null; then
  skip "a PDF as an ordinary user: only root can become one"
else
  BIN=$(reachable)
  work "$T/u" && rm -rf "$T/u/sources" && mkdir "$T/u/sources" "$T/u-crannog"
  pdf '0 0 100 100 re f' >"$T/u/sources/scan.pdf"
  mkdir -p "$T/u-crannog/.crannog/models" && cp "$MODEL" "$T/u-crannog/.crannog/models/small.gguf"
  chown -R 4242:4242 "$T/u" "$T/u-crannog"
  refuses "a PDF as an ordinary user" 4 'sources/scan.pdf.*has no text' \
    setpriv --reuid=4242 --regid=4242 --clear-groups env HOME="$T/u" CRANNOG="$T/u-crannog" "$BIN/crannog" run "$T/u/PLAN.md"
fi
