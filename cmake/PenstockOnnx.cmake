# ONNX's C++ library, as tools/dev/build_onnx.sh installs it. Its own config file does not look for protobuf.
find_package(Protobuf REQUIRED)
find_package(ONNX CONFIG REQUIRED PATHS ${CMAKE_BINARY_DIR}/third_party/onnx)
