import react from '@vitejs/plugin-react';

// Relative addresses: Prometheus serves the result under /user.
export default {
  base: './',
  plugins: [react()],
  define: { 'process.env': {}, global: 'globalThis' },
  build: { outDir: 'dist', chunkSizeWarningLimit: 10000 },
};
