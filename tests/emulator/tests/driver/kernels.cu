// Kernels of the kinds that Gavotte generates, for NVRTC.

extern "C" __global__ void add(const float* __restrict__ x, const float* __restrict__ y, float* z, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) z[i] = x[i] + y[i];
}

// One block per row; the block's maximum and sum in shared memory.
extern "C" __global__ void softmax(const float* x, float* y, int columns) {
    extern __shared__ float s[];
    x += (long long)blockIdx.x * columns;
    y += (long long)blockIdx.x * columns;
    float most = __int_as_float(0xff800000);
    for (int j = threadIdx.x; j < columns; j += blockDim.x) most = fmaxf(most, x[j]);
    s[threadIdx.x] = most;
    __syncthreads();
    for (int k = blockDim.x / 2; k; k /= 2) {
        if (threadIdx.x < k) s[threadIdx.x] = fmaxf(s[threadIdx.x], s[threadIdx.x + k]);
        __syncthreads();
    }
    most = s[0];
#ifndef WITHOUT_BARRIER
    __syncthreads();
#endif
    float sum = 0;
    for (int j = threadIdx.x; j < columns; j += blockDim.x) sum += expf(x[j] - most);
    s[threadIdx.x] = sum;
    __syncthreads();
    for (int k = blockDim.x / 2; k; k /= 2) {
        if (threadIdx.x < k) s[threadIdx.x] += s[threadIdx.x + k];
        __syncthreads();
    }
    for (int j = threadIdx.x; j < columns; j += blockDim.x) y[j] = expf(x[j] - most) / s[0];
}

__device__ float warp_sum(float x) {
    for (int k = 16; k; k /= 2) x += __shfl_down_sync(0xffffffffu, x, k);
    return x;
}

// The sum within a block by shuffles, over all blocks by an atomic operation.
extern "C" __global__ void sum(const float* x, float* y, int n) {
    __shared__ float s[32];
    float part = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) part += x[i];
    part = warp_sum(part);
    if (threadIdx.x % 32 == 0) s[threadIdx.x / 32] = part;
    __syncthreads();
    if (threadIdx.x < 32) {
        part = threadIdx.x < blockDim.x / 32 ? s[threadIdx.x] : 0;
        part = warp_sum(part);
        if (threadIdx.x == 0) atomicAdd(y, part);
    }
}

extern "C" __global__ void functions(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float a = x[i], b = fabsf(a);
    float* out = y + 10 * i;
    out[0] = expf(a);
    out[1] = logf(b);
    out[2] = tanhf(a);
    out[3] = log1pf(b);
    out[4] = erff(a);
    out[5] = powf(b, 1.7f);
    out[6] = sinf(a);
    out[7] = cosf(a * 1e6f);
    out[8] = rsqrtf(b);
    out[9] = expm1f(a);
}

extern "C" __global__ void more(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float a = x[i], b = fabsf(a), c = a / 5.01f;
    float* out = y + 20 * i;
    out[0] = cbrtf(a);
    out[1] = exp2f(a);
    out[2] = exp10f(a);
    out[3] = log2f(b);
    out[4] = log10f(b);
    out[5] = tanf(a);
    out[6] = asinf(c);
    out[7] = acosf(c);
    out[8] = atanf(a);
    out[9] = sinhf(a);
    out[10] = coshf(a);
    out[11] = asinhf(a);
    out[12] = atanhf(c);
    out[13] = hypotf(a, 2.0f);
    out[14] = atan2f(a, -1.5f);
    out[15] = fmodf(a, 0.7f);
    out[16] = roundf(a);
    out[17] = __fadd_rd(a, 1e-9f);
    out[18] = __fdiv_ru(a, 3.0f);
    out[19] = __fsqrt_rz(b);
}

extern "C" __global__ void doubles(const double* x, double* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    double a = x[i], b = fabs(a);
    double* out = y + 8 * i;
    out[0] = exp(a);
    out[1] = log(b);
    out[2] = tanh(a);
    out[3] = a / (b + 1);
    out[4] = sqrt(b);
    out[5] = floor(a);
    out[6] = rint(a);
    out[7] = sin(a);
}

// Sums of the values of each segment, one warp per segment.
extern "C" __global__ void segments(const int* starts, const int* columns, const float* x, float* y, int rows) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    float sum = 0;
    for (int k = starts[row] + lane; k < starts[row + 1]; k += 32) sum += x[columns[k]];
    for (int k = 16; k; k /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, k);
    if (lane == 0) y[row] = sum;
}

__device__ unsigned rotate(unsigned x, int by) { return x << by | x >> (32 - by); }

// Threefry 2x32 with 20 rounds.
extern "C" __global__ void threefry(unsigned key0, unsigned key1, unsigned* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const int by[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    unsigned keys[3] = {key0, key1, 0x1BD11BDAu ^ key0 ^ key1};
    unsigned x0 = keys[0], x1 = (unsigned)i + keys[1];
    for (int round = 0; round < 20; round++) {
        x0 += x1;
        x1 = rotate(x1, by[round % 8]) ^ x0;
        if (round % 4 == 3) {
            x0 += keys[(round / 4 + 1) % 3];
            x1 += keys[(round / 4 + 2) % 3] + round / 4 + 1;
        }
    }
    out[2 * i] = x0;
    out[2 * i + 1] = x1;
}

extern "C" __global__ void integers(const int* x, const int* y, long long* z, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    long long a = (long long)x[i] * 1000003, b = y[i];
    long long* out = z + 6 * i;
    out[0] = x[i] / y[i];
    out[1] = x[i] % y[i];
    out[2] = a / b;
    out[3] = (unsigned long long)a % (unsigned)b;
    out[4] = __mul64hi(a, b << 40);
    out[5] = __clz(x[i]) + 100 * __popc(x[i]) + 10000 * __ffs(x[i]) + (min(x[i], y[i]) > 0 ? 1000000 : 0);
}

__constant__ float weights[4] = {1, 2, 3, 4};
__device__ unsigned counter;

__noinline__ __device__ float weighted(float x, int i) { return x * weights[i & 3]; }

struct Point { float x; int n; };

// A function call, a switch, a structure, bytes, votes.
extern "C" __global__ void mixed(Point p, float* y, bool* flags, unsigned* votes) {
    int i = threadIdx.x;
    float x = 0;
    switch (i % 7) {
        case 0: x = 1; break;
        case 1: x = weighted(2, i); break;
        case 2: x = p.x; break;
        case 3: x = p.n; break;
        case 4: x = weighted(p.x, i + 1); break;
        case 5: x = -1; break;
    }
    y[i] = x;
    flags[i] = x > 1 && !(i & 1);
    unsigned ballot = __ballot_sync(0xffffffffu, x > 1);
    if (i % 32 == 0) votes[i / 32] = ballot;
    int all = __syncthreads_count(x > 1);
    if (i == 0) votes[blockDim.x / 32] = all;
    atomicAdd(&counter, 1u);
}
