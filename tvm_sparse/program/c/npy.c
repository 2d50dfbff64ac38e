// Tensors as .npy files, see numpy.lib.format.
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

enum { LONGEST_HEADER = 1 << 16, MOST_AXES = 64 };
static const char MAGIC[] = "\x93NUMPY";

uint64_t size_of(const DLTensor *tensor) {
  uint64_t bytes = (tensor->dtype.bits + 7) / 8;
  for (int32_t i = 0; i < tensor->ndim; ++i) bytes *= (uint64_t)tensor->shape[i];
  return bytes;
}

// e.g. "f4", as .npy files call it
static void type_code(DLDataType dtype, char code[8]) {
  char kind = dtype.code == kDLFloat ? 'f' : dtype.code == kDLUInt ? 'u' : 'i';
  if (dtype.code == kDLBool) kind = 'b';
  snprintf(code, 8, "%c%d", kind, (dtype.bits + 7) / 8);
}

const char *dtype_name(DLDataType dtype) {
  static char name[16];
  const char *kind = dtype.code == kDLFloat ? "float" : dtype.code == kDLUInt ? "uint" : "int";
  if (dtype.code == kDLBool) return "bool";
  snprintf(name, sizeof name, "%s%d", kind, dtype.bits);
  return name;
}

const char *shape_text(int32_t ndim, const int64_t *shape) {
  static char text[MOST_AXES * 24];
  char *end = text + sprintf(text, "(");
  for (int32_t i = 0; i < ndim && i < MOST_AXES; ++i)
    end += sprintf(end, "%s%" PRId64, i ? ", " : "", shape[i]);
  strcpy(end, ndim == 1 ? ",)" : ")");
  return text;
}

// The text after 'key': in the header, without blanks at its front.
static const char *value_of(const char *path, const char *header, const char *key) {
  const char *found = strstr(header, key);
  found = found ? strchr(found, ':') : NULL;
  if (!found) fail(EXIT_WRONG_USE, "%s is damaged: its header has no %s", path, key);
  for (++found; *found == ' '; ++found) {}
  return found;
}

static char *read_header(const char *path, FILE *file) {
  unsigned char start[12] = {0};
  static char header[LONGEST_HEADER];
  if (fread(start, 1, 10, file) != 10 || memcmp(start, MAGIC, 6))
    fail(EXIT_WRONG_USE, "%s is no .npy file: write it with numpy.save", path);
  uint32_t length = start[8] | start[9] << 8;
  if (start[6] > 1) {  // versions 2 and 3 have four bytes
    if (fread(start + 10, 1, 2, file) != 2) length = LONGEST_HEADER;
    length |= (uint32_t)start[10] << 16 | (uint32_t)start[11] << 24;
  }
  if (length >= LONGEST_HEADER || fread(header, 1, length, file) != length)
    fail(EXIT_WRONG_USE, "%s is damaged: its header is cut off", path);
  header[length] = 0;
  return header;
}

static int same_type(const char *descr, DLDataType dtype) {
  char code[8];
  type_code(dtype, code);
  char order = *descr == '\'' ? descr[1] : 0;
  if (order != '<' && order != '|' && order != '=') return 0;
  return !strncmp(descr + 2, code, strlen(code)) && descr[2 + strlen(code)] == '\'';
}

static int same_shape(const char *text, const DLTensor *tensor) {
  if (*text++ != '(') return 0;
  for (int32_t i = 0; i < tensor->ndim; ++i) {
    char *rest;
    if (strtoll(text, &rest, 10) != tensor->shape[i] || rest == text) return 0;
    for (text = rest; *text == ',' || *text == ' '; ++text) {}
  }
  return *text == ')';
}

static void check_header(const char *path, const char *name, const char *header, DLTensor *tensor) {
  const char *descr = value_of(path, header, "'descr'");
  const char *found = value_of(path, header, "'shape'");
  if (!same_type(descr, tensor->dtype) || !same_shape(found, tensor))
    fail(EXIT_WRONG_USE, "input %s must be %s %s, %s holds %.*s %.*s", name,
         dtype_name(tensor->dtype), shape_text(tensor->ndim, tensor->shape), path, (int)strcspn(descr, ","), descr,
         (int)strcspn(found, ")") + 1, found);
  if (strncmp(value_of(path, header, "'fortran_order'"), "False", 5))
    fail(EXIT_WRONG_USE, "%s is in Fortran's order: write it with numpy.ascontiguousarray", path);
}

void read_npy(const char *path, const char *name, DLTensor *tensor) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(EXIT_WRONG_USE, "cannot read %s: %s", path, strerror(errno));
  check_header(path, name, read_header(path, file), tensor);
  uint64_t bytes = size_of(tensor);
  if (fread(tensor->data, 1, bytes, file) != bytes || fgetc(file) != EOF)
    fail(EXIT_WRONG_USE, "%s is damaged: expected %" PRIu64 " bytes of values", path, bytes);
  fclose(file);
}

void write_npy(const char *path, const DLTensor *tensor) {
  char code[8], header[MOST_AXES * 32];
  type_code(tensor->dtype, code);
  char order = tensor->dtype.bits > 8 ? '<' : '|';
  int length = snprintf(header, sizeof header,
                        "{'descr': '%c%s', 'fortran_order': False, 'shape': %s, }", order, code,
                        shape_text(tensor->ndim, tensor->shape));
  while ((10 + length + 1) % ALIGNMENT) header[length++] = ' ';
  header[length++] = '\n';
  FILE *file = fopen(path, "wb");
  unsigned char start[] = {1, 0, length & 255, length >> 8};
  uint64_t bytes = size_of(tensor);
  int good = file && fwrite(MAGIC, 1, 6, file) == 6 && fwrite(start, 1, 4, file) == 4 &&
             fwrite(header, 1, length, file) == (size_t)length &&
             fwrite(tensor->data, 1, bytes, file) == bytes && !fclose(file);
  if (!good) fail(EXIT_FAILURE, "cannot write %s: %s", path, strerror(errno));
}
