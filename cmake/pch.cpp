// Carries the precompiled header; see PenstockMLIR.cmake.
