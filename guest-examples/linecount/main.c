/* Counts lines: an ordinary program that knows nothing of Wharf.
 *
 * It reads /in/text and writes the number of lines to /out/lines. A last line
 * without a line end counts. */
#include <stdio.h>

static char buffer[1 << 16];

static int fail(const char *what) {
    perror(what);
    return 1;
}

int main(void) {
    FILE *text = fopen("/in/text", "rb");
    if (text == NULL)
        return fail("/in/text");
    unsigned long long lines = 0;
    char last = '\n';
    size_t length;
    while ((length = fread(buffer, 1, sizeof buffer, text)) > 0) {
        for (size_t i = 0; i < length; i++)
            lines += buffer[i] == '\n';
        last = buffer[length - 1];
    }
    if (ferror(text))
        return fail("/in/text");
    lines += last != '\n';

    FILE *result = fopen("/out/lines", "wb");
    if (result == NULL)
        return fail("/out/lines");
    if (fprintf(result, "%llu\n", lines) < 0 || fclose(result) != 0)
        return fail("/out/lines");
    return 0;
}
