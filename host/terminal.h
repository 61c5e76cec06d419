/*
 * terminal.h - the terminal this process runs in, taken over as a whole for a screen of text.
 */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Raw mode on standard input, and `enter` written to standard output. Until host_screen_close(), and also at
 * exit(), by a fatal signal or while the process is stopped, the terminal is given back and `leave` written.
 * Both strings must live as long. False when standard input and output are not a terminal or a character
 * device has it; then `why` says which.
 */
bool host_screen_open(const char *enter, const char *leave, char *why, size_t why_size);
void host_screen_close(void);

/* How often the terminal was given away and taken back: what it shows is then unknown. */
unsigned host_screen_resumed(void);

#endif
