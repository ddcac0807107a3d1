#include "penstock/Driver/Compiler.h"
namespace penstock::driver {
void printSummary(const Compilation &compilation, bool json, llvm::raw_ostream &os) {}
}
