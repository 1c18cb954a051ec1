/*
 * crannog-infer: runs a model for crannog. With descriptor 3 and no arguments it serves (infer/serve.h); with arguments
 * it is a tool for those who work on it (infer/develop.h).
 */
#include "infer/develop.h"

int main(int argc, char **argv)
{
    return develop_main(argc, argv);
}
