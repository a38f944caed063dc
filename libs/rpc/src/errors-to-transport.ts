import { Catch, type ExceptionFilter } from '@nestjs/common';
import { throwError, type Observable } from 'rxjs';

/**
 * Hands what a handler throws to the transport as it is. Nest's own filter logs it with Nest's logger and passes on a placeholder; with
 * this one as a global filter {@link FramesServer} logs the error itself. The caller learns nothing of it either way.
 */
@Catch()
export class ErrorsToTransport implements ExceptionFilter {
  catch(error: unknown): Observable<never> {
    return throwError(() => error);
  }
}
