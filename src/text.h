/*-------------------------------------------------------------------------
 *
 * text.h
 *	  UTF-8 and text in bounded buffers.
 *
 * Plain C over plain buffers: also built outside the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CLAIIM_TEXT_H
#define CLAIIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at "text", 0 if it is not valid UTF-8. */
extern size_t utf8_decode(const char *text, size_t len, uint32_t *code_point);

/* The longest prefix of at most "max" bytes that cuts no character. */
extern size_t utf8_clip(const char *text, size_t len, size_t max);

extern bool code_point_is_control(uint32_t code_point);
extern bool code_point_is_space(uint32_t code_point);

extern size_t text_ascii_run(const char *text, size_t len);

/* What text_scan found first. */
typedef enum TextFault
{
	TEXT_OK,
	TEXT_NOT_UTF8,
	TEXT_CONTROL,				/* a control character */
	TEXT_SPACE					/* white space, where it is looked for */
} TextFault;

extern TextFault text_scan(const char *text, size_t len, bool allow_space);
extern bool text_is_trimmed(const char *text, size_t len);

/*
 * Appending to a zero-terminated buffer of "size" bytes.  What does not fit
 * is cut between characters, and "..." shows it.
 */
extern void text_append(char *buffer, size_t size, const char *text);
extern void text_append_clipped(char *buffer, size_t size, const char *text,
								size_t len, size_t max);
extern void text_append_int(char *buffer, size_t size, long long value);

#endif							/* CLAIIM_TEXT_H */
