/* One more view of a text for the danger rules: spaces and paths as they are usually written.
 *
 *   - a run of blanks is one blank, a line break where it holds one; a backslash at the end of a line joins it to the
 *     next, and counts as a blank. So no rule has to count blanks;
 *   - a path goes straight: `//`, `/./` and `/x/../` are `/` (`://` stays).
 *
 * A view is never longer than its text, and costs time linear in it.
 */
#ifndef SOPHIA_SPACING_H
#define SOPHIA_SPACING_H

#include <stddef.h>
#include <string.h>

/* Whether the view could differ from the text. */
static int sophia_spacing_possible(const unsigned char *text, size_t size)
{
    int found = size > 0 && (text[size - 1] == '\t' || text[size - 1] == '\v' || text[size - 1] == '\f' ||
                             text[size - 1] == '\r');
    for (size_t i = 0; i + 1 < size; i++) {
        const unsigned char a = text[i], b = text[i + 1];
        const int blank = (a == ' ') | ((unsigned char)(a - '\t') < 5);
        const int then = (b == ' ') | ((unsigned char)(b - '\t') < 5);
        found |= (blank & then) | (blank & (a != ' ') & (a != '\n')) | ((a == '\\') & then) |
                 ((a == '/') & ((b == '/') | (b == '.')));
    }
    return found;
}

static inline int sophia_spacing_breaks(unsigned char c)
{
    return c == '\n' || c == '\r';
}

static inline int sophia_spacing_blank(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Bytes of a blank at `text`, 0 where there is none: one, or a backslash with the line break behind it. */
static inline size_t sophia_spacing_step(const unsigned char *text, size_t left)
{
    if (sophia_spacing_blank(*text)) return 1;
    if (*text != '\\' || left < 2 || !sophia_spacing_breaks(text[1])) return 0;
    return left > 2 && text[1] == '\r' && text[2] == '\n' ? 3 : 2;
}

/* No part of a path, for us. */
static inline int sophia_spacing_ends(unsigned char c)
{
    switch (c) {
    case '"': case '\'': case '`': case ';': case '|': case '&': case '(': case ')': case '<': case '>': case ',':
    case '=': case ':': case '\\': return 1;
    default: return sophia_spacing_blank(c);
    }
}

/* A name that `..` does not lead out of, as far as the text tells. */
static inline int sophia_spacing_stays(const unsigned char *name, size_t size)
{
    return *name == '~' || *name == '$' || (*name == '.' && (size == 1 || (size == 2 && name[1] == '.')));
}

/* A path with its detours taken out; `root` is how many slashes it keeps at its front. */
static size_t sophia_spacing_path(const unsigned char *path, size_t size, size_t root, unsigned char *out)
{
    size_t n = root;
    memset(out, '/', root);
    for (size_t i = root, end; i < size; i = end + 1) {
        for (end = i; end < size && path[end] != '/'; end++) continue;
        if (end == i || (end - i == 1 && path[i] == '.' && i > 0)) continue;
        if (end - i == 2 && path[i] == '.' && path[i + 1] == '.') {
            size_t up = n ? n - 1 : 0;
            while (up > root && out[up - 1] != '/') up--;
            /* There is nothing above the root. */
            if (n > root ? !sophia_spacing_stays(out + up, n - 1 - up) : root > 0) {
                n = n > root ? up : root;
                continue;
            }
        }
        memcpy(out + n, path + i, end - i);
        n += end - i;
        if (end < size) out[n++] = '/';
    }
    if (n == 0) out[n++] = '.';
    return n;
}

/* The view of a text into `out`, which has room for `size` bytes; returns its length. `*changed`: it is another text. */
static size_t sophia_spacing_view(const unsigned char *text, size_t size, unsigned char *out, int *changed)
{
    size_t n = 0, i = 0;
    *changed = 0;
    while (i < size) {
        const size_t start = i;
        size_t step;
        int breaks = 0, odd = 0;
        for (; i < size && (step = sophia_spacing_step(text + i, size - i)) > 0; i += step)
            breaks |= step == 1 && sophia_spacing_breaks(text[i]);
        if (i > start) {
            const int plain = (i - start == 1 && (text[start] == ' ' || text[start] == '\n')) ||
                              (i - start == 2 && text[start] == '\r' && text[start + 1] == '\n');
            *changed |= !plain;
            out[n++] = breaks ? '\n' : ' ';
            continue;
        }
        if (sophia_spacing_ends(text[i])) {
            out[n++] = text[i++];
            continue;
        }
        for (; i < size && !sophia_spacing_ends(text[i]); i++)
            odd |= text[i] == '/' && i + 1 < size && (text[i + 1] == '/' || text[i + 1] == '.');
        if (odd) {
            size_t root = text[start] == '/';
            root += root && start > 0 && text[start - 1] == ':' && i - start > 1 && text[start + 1] == '/';
            const size_t wrote = sophia_spacing_path(text + start, i - start, root, out + n);
            *changed |= wrote != i - start;
            n += wrote;
        } else {
            memcpy(out + n, text + start, i - start);
            n += i - start;
        }
    }
    return n;
}

#endif
