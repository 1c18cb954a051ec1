/*
 * Commands for people who work on crannog-infer: it run by hand, without an engine.
 */
#ifndef CRANNOG_INFER_DEVELOP_H
#define CRANNOG_INFER_DEVELOP_H

/* Runs "--prompt", "--tokens", "--logits", "--bench", "--help"; returns the exit status. */
int develop_main(int argc, char **argv);

#endif
