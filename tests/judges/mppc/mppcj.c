/* FreeRDP's MPPC on the command line, out of libfreerdp2.so.2; no development package is needed.
 *
 *   mppcj enc PLAIN PACKETS SIZE   splits a file into pieces of SIZE bytes, and compresses each with 8 KB of history
 *   mppcj dec PACKETS PLAIN        the other way
 *
 * A file of packets: flags, length (32 bits each, little endian), payload; 0x20 compressed, 0x40 at front, 0x80 flushed. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *new_context(uint32_t level, int compressor);
typedef int compress_with(void *, const uint8_t *, uint32_t, uint8_t **, uint32_t *, uint32_t *);
typedef int decompress_with(void *, const uint8_t *, uint32_t, uint8_t **, uint32_t *, uint32_t);

enum { COMPRESSED = 0x20, LEVEL_8K = 0 };

static uint8_t in[1 << 16], out[1 << 16];

static int enc(void *context, compress_with *compress, FILE *from, FILE *to, size_t piece) {
    size_t n;
    while ((n = fread(in, 1, piece, from)) > 0) {
        uint8_t *packet = out;
        uint32_t head[2] = {0, sizeof out};
        if (compress(context, in, n, &packet, &head[1], &head[0]) < 0) return 1;
        /* What does not shrink is sent as it is. */
        if (!(head[0] & COMPRESSED)) packet = in, head[1] = n;
        fwrite(head, 4, 2, to);
        fwrite(packet, 1, head[1], to);
    }
    return 0;
}

static int dec(void *context, decompress_with *decompress, FILE *from, FILE *to) {
    uint32_t head[2];
    while (fread(head, 4, 2, from) == 2) {
        uint8_t *plain = NULL;
        uint32_t size = 0;
        if (head[1] > sizeof in || fread(in, 1, head[1], from) != head[1]) return 1;
        int code = decompress(context, in, head[1], &plain, &size, head[0]);
        if (code < 0) return fprintf(stderr, "error %d, flags %02x\n", code, head[0]), 1;
        fwrite(plain, 1, size, to);
    }
    return 0;
}

int main(int count, char **argument) {
    if (count < 4) return 2;
    void *library = dlopen("libfreerdp2.so.2", RTLD_NOW);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 3;
    new_context *new = (new_context *)dlsym(library, "mppc_context_new");
    compress_with *compress = (compress_with *)dlsym(library, "mppc_compress");
    decompress_with *decompress = (decompress_with *)dlsym(library, "mppc_decompress");
    FILE *from = fopen(argument[2], "rb"), *to = fopen(argument[3], "wb");
    if (!new || !compress || !decompress || !from || !to) return 3;
    int is_enc = !strcmp(argument[1], "enc");
    void *context = new(LEVEL_8K, is_enc);
    int code = is_enc ? enc(context, compress, from, to, count > 4 ? atoi(argument[4]) : 1000)
                      : dec(context, decompress, from, to);
    return fclose(to) ? 1 : code;
}
