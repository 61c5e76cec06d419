/*
 * ctl.h - `oxbow ctl PATH [COMMAND...]`: a client of the control socket, for people and scripts.
 */
#ifndef DEBUG_CTL_H
#define DEBUG_CTL_H

/* argv[0] is "ctl". An exit status: 0, 1 if a command failed, EXIT_USAGE, EXIT_HOST if there is no machine.
 */
int ctl_main(int argc, char **argv);

#endif
